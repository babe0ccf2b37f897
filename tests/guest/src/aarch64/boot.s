// Turns translation on with the tables at boot_table, in 39-bit halves of 4 KiB
// pages, and changes to the stack of SP_EL0: SP_EL1 is the exceptions'. Takes x9
// to x11.
.macro enable_translation
    ldr x9, =0x04FF                 // MAIR: 0 ordinary memory, 1 device nGnRE
    msr mair_el1, x9
    ldr x9, =0xB5193519             // both halves: 39 bits, 4 KiB, shareable, cached
    mrs x10, id_aa64mmfr0_el1
    and x10, x10, #15               // the physical addresses that there are,
    mov x11, #5                     // at most 48 bits
    cmp x10, x11
    csel x10, x10, x11, lo
    orr x9, x9, x10, lsl #32
    msr tcr_el1, x9
    adrp x9, boot_table
    msr ttbr0_el1, x9
    adrp x9, empty_table
    msr ttbr1_el1, x9
    mov x9, #(3 << 20)              // no trap of vector registers, which drivers use
    msr cpacr_el1, x9
    tlbi vmalle1
    dsb ish
    isb
    mrs x9, sctlr_el1
    ldr x10, =0x100D                // I, SA, C, M
    orr x9, x9, x10
    bic x9, x9, #2                  // not A
    msr sctlr_el1, x9
    isb
    msr spsel, #0
.endm

// QEMU starts an ELF image here, at EL1, without translation, and puts the device
// tree at the start of memory (QEMU documentation, "'virt' generic virtual
// platform").
.section .text.boot, "ax", @progbits
.globl boot
boot:
    msr daifset, #15
    // The first GiB are devices, the next three memory, one to one, until paging.rs
    // has built the real tables.
    adrp x0, boot_table
    ldr x1, =0x0060000000000405     // block, attributes 1, accessed, not executable
    str x1, [x0]
    ldr x1, =0x40000701             // block, attributes 0, shareable, accessed
    str x1, [x0, #8]
    ldr x1, =0x80000701
    str x1, [x0, #16]
    ldr x1, =0xC0000701
    str x1, [x0, #24]
    dsb ish
    enable_translation
    adrp x0, stack_top
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    bl start

// Another processor begins here in the same way.
.globl processor_start
processor_start:
    msr daifset, #15
    enable_translation
    adrp x0, processor_stack
    ldr x0, [x0, :lo12:processor_stack]
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    bl processor
.ltorg

.section .bss.boot, "aw", @nobits
    .balign 4096
boot_table:
    .skip 4096
empty_table:
    .skip 4096
// The page below the stack is never mapped: an overflow is an abort.
.globl stack_guard
stack_guard:
    .skip 4096
    .skip 512 * 1024
stack_top:
