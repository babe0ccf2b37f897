# With the tables at boot_pml4, in 32-bit protected mode. Takes eax, ecx and edx.
.macro enable_long_mode
    mov eax, cr4
    or eax, 0x620                   # PAE, OSFXSR, OSXMMEXCPT
    mov cr4, eax
    mov eax, offset boot_pml4
    mov cr3, eax
    mov ecx, 0xC0000080             # EFER
    rdmsr
    or eax, 0x900                   # LME, NXE
    wrmsr
    mov eax, cr0
    and eax, 0x9FFFFFFB             # not CD, NW, EM
    or eax, 0x80010003              # PG, WP, MP, PE
    mov cr0, eax
.endm

# PVH entry: QEMU starts an ELF image with this note in 32-bit protected mode,
# without paging, with the address of the start info in ebx
# (xen: docs/misc/pvh.pandoc).
.section .note.pvh, "a", @note
    .balign 4
    .long 4                         # size of the name
    .long 4                         # size of the descriptor
    .long 18                        # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_start

# Multiboot2 header: a boot loader that finds it in the file's first 32 KiB enters
# the image at multiboot_start, in the same state, with the address of its boot
# information in ebx (Multiboot2 Specification, "OS image format").
.section .text.multiboot, "a", @progbits
    .balign 8
multiboot_header:
    .long 0xE85250D6
    .long 0                         # i386
    .long multiboot_header_end - multiboot_header
    .long 0x100000000 - 0xE85250D6 - (multiboot_header_end - multiboot_header)
    .short 3                        # entry address
    .short 0
    .long 12
    .long multiboot_start
    .balign 8
    .short 0                        # end
    .short 0
    .long 8
multiboot_header_end:

.section .text.boot, "ax", @progbits
.code32
multiboot_start:
    mov esi, 1
    jmp entered

.globl pvh_start
pvh_start:
    xor esi, esi
entered:
    cli
    cld
    mov edi, ebx

    # The first 4 GiB, one to one, in 2 MiB pages, until paging.rs has built
    # the real tables.
    mov eax, offset boot_pdpt + 3
    mov dword ptr [boot_pml4], eax
    mov eax, offset boot_pd + 3
    xor ecx, ecx
1:  mov dword ptr [boot_pdpt + ecx * 8], eax
    add eax, 4096
    inc ecx
    cmp ecx, 4
    jne 1b
    mov eax, 0x83
    xor ecx, ecx
2:  mov dword ptr [boot_pd + ecx * 8], eax
    add eax, 0x200000
    inc ecx
    cmp ecx, 2048
    jne 2b

    enable_long_mode
    lgdt [boot_gdt_pointer]
    mov esp, offset stack_top
    push 8
    mov eax, offset long_mode
    push eax
    retf

.code64
long_mode:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov edi, edi
    mov esi, esi
    lea rsp, [rip + stack_top]
    xor ebp, ebp
    call start
    ud2

# What another processor begins with, in real mode: a copy of it, at the start of
# a page below 1 MiB (Intel SDM 3, "MP Initialization").
.code16
.globl processor_start
.globl processor_start_end
    .balign 4
processor_start:
    jmp 1f
    .balign 4                       # at offset 4
    .word 31
    .long boot_gdt
1:  cli
    cld
    mov ax, cs
    mov ds, ax
    lgdtd [4]
    mov eax, cr0
    or eax, 1                       # PE
    mov cr0, eax
    .byte 0x66, 0xEA                # jmp 24:protected_mode, 32 bits
    .long protected_mode
    .word 24
processor_start_end:

.code32
protected_mode:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    enable_long_mode
    .byte 0xEA                      # jmp 8:processor_long_mode
    .long processor_long_mode
    .word 8

.code64
processor_long_mode:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov rsp, [rip + processor_stack]
    xor ebp, ebp
    call processor
    ud2

.section .rodata.boot, "a", @progbits
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF        # 64-bit code
    .quad 0x00CF93000000FFFF        # data
    .quad 0x00CF9B000000FFFF        # 32-bit code
boot_gdt_pointer:
    .word 31
    .long boot_gdt

.section .bss.boot, "aw", @nobits
    .balign 4096
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pd:
    .skip 4 * 4096
# The page below the stack is never mapped: an overflow is a page fault.
.globl stack_guard
stack_guard:
    .skip 4096
    .skip 512 * 1024
stack_top:
