//! Lives of images that are made here byte by byte, so that the path into and out
//! of driver code is tested on any host, without a compiler for Windows.

use host::{Device, Life, Outcome, live};

const FILE_HEADERS: usize = 0x400;
const PE: usize = 0x40;
const OPTIONAL: usize = PE + 24;
const TABLE: usize = OPTIONAL + 240;

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put32(file: &mut [u8], at: usize, value: u32) {
    put(file, at, &value.to_le_bytes());
}

/// A driver whose entry point is `code`, in a section of its own; behind it a
/// section with an import of `DbgPrint`, whose slot is at offset 0x2060.
fn driver(code: &[u8]) -> Vec<u8> {
    let mut file = vec![0; FILE_HEADERS + 2 * 0x200];
    put(&mut file, 0, b"MZ");
    put32(&mut file, 0x3C, 0x40);
    put(&mut file, PE, b"PE\0\0\x64\x86\x02\0");
    put(&mut file, PE + 20, &[240, 0, 0x22, 0]);
    put(&mut file, OPTIONAL, &[0x0B, 0x02]);
    put32(&mut file, OPTIONAL + 16, 0x1000);
    put32(&mut file, OPTIONAL + 32, 0x1000);
    put32(&mut file, OPTIONAL + 36, 0x200);
    put32(&mut file, OPTIONAL + 56, 0x3000);
    put32(&mut file, OPTIONAL + 60, 0x400);
    put(&mut file, OPTIONAL + 68, &[1, 0]);
    put32(&mut file, OPTIONAL + 108, 16);
    put32(&mut file, OPTIONAL + 112 + 8, 0x2000);
    put32(&mut file, OPTIONAL + 112 + 12, 40);
    let sections: [(&[u8], u32, u32); 2] = [(b".text", 1, 0x6000_0020), (b".data", 2, 0xC000_0040)];
    for (name, number, flags) in sections {
        let at = TABLE + (number as usize - 1) * 40;
        put(&mut file, at, name);
        put32(&mut file, at + 8, 0x200);
        put32(&mut file, at + 12, number * 0x1000);
        put32(&mut file, at + 16, 0x200);
        put32(&mut file, at + 20, 0x400 + (number - 1) * 0x200);
        put32(&mut file, at + 36, flags);
    }
    put(&mut file, FILE_HEADERS, code);
    let data = FILE_HEADERS + 0x200;
    put32(&mut file, data, 0x2040);
    put32(&mut file, data + 12, 0x2080);
    put32(&mut file, data + 16, 0x2060);
    put32(&mut file, data + 0x40, 0x2090);
    put32(&mut file, data + 0x60, 0x2090);
    put(&mut file, data + 0x80, b"ntoskrnl.exe\0");
    put(&mut file, data + 0x92, b"DbgPrint\0");
    file
}

fn life(code: &[u8], scenario: &str) -> Life {
    live(&driver(code), &[Device::isa(0x505, 3)], scenario)
}

fn rule(life: &Life) -> &str {
    let violation = life.line("violation").unwrap_or_default();
    violation.split('"').nth(5).unwrap_or_default()
}

/// `mov eax, status; ret`.
const FAIL: [u8; 6] = [0xB8, 0x01, 0x00, 0x00, 0xC0, 0xC3];

#[test]
fn the_status_of_driver_entry_is_reported() {
    let life = life(&FAIL, "load\nstart\n");
    assert_eq!(life.outcome, Outcome::Complete);
    assert_eq!(
        life.line("loaded"),
        Some(r#"{"loaded":{"status":"0xc0000001"}}"#)
    );
    assert_eq!(life.line("started"), None);
}

#[test]
fn an_import_reaches_the_model_and_comes_back() {
    // sub rsp, 40; call [rip + 0x1056]; add rsp, 40; mov eax, …; ret
    let mut code = vec![0x48, 0x83, 0xEC, 0x28, 0xFF, 0x15, 0x56, 0x10, 0, 0];
    code.extend([0x48, 0x83, 0xC4, 0x28]);
    code.extend(FAIL);
    let life = life(&code, "trace\nload\n");
    assert_eq!(life.outcome, Outcome::Complete, "{:?}", life.report);
    let call = life.line("call").unwrap_or_default();
    assert!(call.contains(r#""name":"DbgPrint","by":"DriverEntry","at":"0x100a","irql":0"#));
}

#[test]
fn port_accesses_reach_the_device_in_each_width() {
    // mov edx, 0x505; in al, dx; out dx, al; out dx, ax; out dx, eax
    let mut code = vec![0xBA, 0x05, 0x05, 0, 0, 0xEC, 0xEE, 0x66, 0xEF, 0xEF];
    code.extend(FAIL);
    let life = life(&code, "load\n");
    let seen: Vec<_> = life
        .writes
        .iter()
        .map(|w| (w.width, w.value & 0xff))
        .collect();
    assert_eq!(seen, [(1, 3), (2, 3), (4, 3)]);
}

#[test]
fn cr8_reads_as_the_irql() {
    // mov rax, cr8; ret: STATUS_SUCCESS at PASSIVE_LEVEL.
    let life = life(&[0x44, 0x0F, 0x20, 0xC0, 0xC3], "load\n");
    assert_eq!(
        life.line("loaded"),
        Some(r#"{"loaded":{"status":"0x00000000"}}"#)
    );
}

#[test]
fn driver_code_that_faults_is_stopped_with_its_place() {
    // xor eax, eax; mov [rax], al
    let fault = life(&[0x31, 0xC0, 0x88, 0x00, 0xC3], "load\n");
    assert_eq!(fault.outcome, Outcome::Violation);
    assert_eq!(rule(&fault), "page-fault");
    assert!(
        fault
            .line("violation")
            .unwrap_or_default()
            .contains("image+0x1002")
    );
    // ud2
    assert_eq!(rule(&life(&[0x0F, 0x0B], "load\n")), "exception");
    // hlt
    assert_eq!(rule(&life(&[0xF4], "load\n")), "exception");
    // jmp to itself by calls: the stack ends.
    assert_eq!(
        rule(&life(&[0xE8, 0xFB, 0xFF, 0xFF, 0xFF], "load\n")),
        "stack-overflow"
    );
}

#[test]
fn the_calling_convention_is_held_against_the_driver() {
    // xor ebx, ebx; ret
    assert_eq!(
        rule(&life(&[0x31, 0xDB, 0xC3], "load\n")),
        "nonvolatile-changed"
    );
    // std; ret
    assert_eq!(rule(&life(&[0xFD, 0xC3], "load\n")), "nonvolatile-changed");
    // call [rip + 0x105a] with the stack as the entry found it, 8 off.
    let misaligned = [0xFF, 0x15, 0x5A, 0x10, 0, 0, 0xC3];
    assert_eq!(rule(&life(&misaligned, "load\n")), "stack-misaligned");
    // fldz; ret
    assert_eq!(rule(&life(&[0xD9, 0xEE, 0xC3], "load\n")), "x87-touched");
}

#[test]
fn a_bad_scenario_line_refuses_the_run() {
    let life = life(&FAIL, "load\nstrat\n");
    assert_eq!(life.outcome, Outcome::Refused);
    assert!(life.line("refused").unwrap_or_default().contains("line 2"));
}

#[test]
fn an_import_that_the_model_lacks_is_named() {
    let mut file = driver(&FAIL);
    put(&mut file, FILE_HEADERS + 0x292, b"ExNothing\0");
    let life = live(&file, &[], "load\n");
    assert_eq!(life.outcome, Outcome::Refused);
    assert!(
        life.line("refused")
            .unwrap_or_default()
            .contains("imports ExNothing from ntoskrnl.exe")
    );
}

#[test]
fn an_import_is_refused_where_the_windows_build_lacks_it() {
    let mut file = driver(&FAIL);
    put(&mut file, FILE_HEADERS + 0x292, b"ExAllocatePool2\0");
    let refused = live(&file, &[], "set build 17763\nload\n");
    assert_eq!(refused.outcome, Outcome::Refused);
    assert!(
        refused
            .line("refused")
            .unwrap_or_default()
            .contains("build 17763 lacks")
    );
    let loaded = live(&file, &[], "set build 20348\nload\n");
    assert_eq!(loaded.outcome, Outcome::Complete);
}
