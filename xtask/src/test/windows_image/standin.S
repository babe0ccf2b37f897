// A stand-in for Windows Setup: 512 bytes that the firmware starts from a CD
// (El Torito, no emulation) or from the disk, which `dl` tells.
//
// From the CD it waits for a key, copies itself to the disk and restarts. From the
// disk it says on COM1 that all is installed and switches the machine off. MODE is
// what it does otherwise. The machine is q35: its power management is where
// SeaBIOS puts it, at port 0x600.
.intel_syntax noprefix
.code16
.global _start
_start:
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    sti
    cmp dl, 0x80
    je from_disk

    xor ah, ah              // waits for a key
    int 0x16
.if MODE == EMPTY
    jmp off
.endif
    mov ax, 0x0301          // writes one sector: cylinder 0, head 0, sector 1
    mov cx, 1
    mov dx, 0x80
    mov bx, 0x7c00
    int 0x13
.if MODE == STUCK || MODE == SLOW
    jmp stop
.endif
.if MODE == EARLY
    jmp off
.endif
    jmp restart

from_disk:
.if MODE == RESTARTS
    jmp restart
.endif
    mov si, offset text
next:
    lodsb
    test al, al
    jz off
    mov ah, al
    mov dx, 0x3fd           // line status: waits until it takes a byte
wait:
    in al, dx
    test al, 0x20
    jz wait
    mov al, ah
    mov dx, 0x3f8
    out dx, al
    jmp next

restart:
    mov dx, 0xcf9           // the chipset's reset register
    mov al, 6
    out dx, al
    jmp stop
off:
    mov dx, 0x604           // PM1a control: SLP_EN, type 0 is soft off
    mov ax, 0x2000
    out dx, ax
stop:
    cli
    hlt
    jmp stop

text:
.if MODE == FAILS
    .asciz "pvpanic-image: driver\r\npvpanic-image: failed: driver\r\n"
.else
    .asciz "pvpanic-image: driver\r\npvpanic-image: installed\r\n"
.endif

.org 510
    .word 0xaa55
