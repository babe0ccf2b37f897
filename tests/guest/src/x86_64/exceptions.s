# Exception entries. Each is 16 bytes after the one before, and leaves on the
# exception's own stack: vector, error code (0 where the processor gives none),
# rip, cs, rflags, rsp, ss.
.section .text.exceptions, "ax", @progbits
.code64
.globl exception_entries
    .balign 16
exception_entries:
.irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
    .balign 16
    .if !(\vector == 8 || (\vector >= 10 && \vector <= 14) || \vector == 17 || \vector == 21 || \vector == 29 || \vector == 30)
    push 0
    .endif
    push \vector
    jmp save
.endr

    # Makes a `Registers` on the stack (eight bytes above it keep the stack on
    # 16), hands it over, and goes on with what it holds then. No vector
    # register is touched: the guest is compiled without them.
save:
    sub rsp, 152
    mov [rsp], rax
    mov [rsp + 8], rcx
    mov [rsp + 16], rdx
    mov [rsp + 24], rbx
    mov [rsp + 40], rbp
    mov [rsp + 48], rsi
    mov [rsp + 56], rdi
    mov [rsp + 64], r8
    mov [rsp + 72], r9
    mov [rsp + 80], r10
    mov [rsp + 88], r11
    mov [rsp + 96], r12
    mov [rsp + 104], r13
    mov [rsp + 112], r14
    mov [rsp + 120], r15
    mov rax, [rsp + 168]
    mov [rsp + 128], rax            # rip
    mov rax, [rsp + 184]
    mov [rsp + 136], rax            # rflags
    mov rax, [rsp + 192]
    mov [rsp + 32], rax             # rsp
    mov rdi, rsp
    mov rsi, [rsp + 152]
    mov rdx, [rsp + 160]
    mov rcx, cr2
    cld
    call exception
    mov rax, [rsp + 128]
    mov [rsp + 168], rax
    mov rax, [rsp + 136]
    mov [rsp + 184], rax
    mov rax, [rsp + 32]
    mov [rsp + 192], rax
    mov rax, [rsp]
    mov rcx, [rsp + 8]
    mov rdx, [rsp + 16]
    mov rbx, [rsp + 24]
    mov rbp, [rsp + 40]
    mov rsi, [rsp + 48]
    mov rdi, [rsp + 56]
    mov r8, [rsp + 64]
    mov r9, [rsp + 72]
    mov r10, [rsp + 80]
    mov r11, [rsp + 88]
    mov r12, [rsp + 96]
    mov r13, [rsp + 104]
    mov r14, [rsp + 112]
    mov r15, [rsp + 120]
    add rsp, 168
    iretq
