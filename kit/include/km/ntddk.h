/*
 * mingw-w64's ntddk.h, with what the windows-drivers-rs bindings and current
 * drivers need and mingw-w64 lacks or has wrong. Every declaration follows its
 * page in Microsoft's driver reference.
 */
#pragma once

/* Windows Server 2016, build 14393: the oldest system that is supported. */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#ifndef NTDDI_VERSION
#define NTDDI_VERSION 0x0A000002
#endif

/*
 * mingw-w64 defines these two in every object, under a name that is also a
 * macro for the compiler's own: two objects would not link together.
 */
#define __INTRINSIC_DEFINED_InterlockedBitTestAndSet
#define __INTRINSIC_DEFINED_InterlockedBitTestAndReset

#include_next <ntddk.h>

/* "POOL_FLAGS": the flags of ExAllocatePool2. */
typedef ULONG64 POOL_FLAGS;

/* "MmMapIoSpaceEx function (wdm.h)": Windows 10 and later. */
NTKERNELAPI
PVOID
NTAPI
MmMapIoSpaceEx(
    PHYSICAL_ADDRESS PhysicalAddress,
    SIZE_T NumberOfBytes,
    ULONG Protect);

/* "KBUGCHECK_TRIAGE_DUMP_DATA structure (wdm.h)": Windows 10, version 1809. */
typedef struct _KADDRESS_RANGE {
    PVOID Address;
    SIZE_T Size;
} KADDRESS_RANGE, *PKADDRESS_RANGE;

typedef struct _KTRIAGE_DUMP_DATA_ARRAY {
    LIST_ENTRY List;
    ULONG NumBlocksUsed;
    ULONG NumBlocksTotal;
    ULONG DataSize;
    ULONG MaxDataSize;
    ULONG ComponentNameBufferLength;
    PUCHAR ComponentName;
    KADDRESS_RANGE Blocks[ANYSIZE_ARRAY];
} KTRIAGE_DUMP_DATA_ARRAY, *PKTRIAGE_DUMP_DATA_ARRAY;

typedef struct _KBUGCHECK_TRIAGE_DUMP_DATA {
    PKTRIAGE_DUMP_DATA_ARRAY DataArray;
    ULONG Flags;
    ULONG MaxVirtMemSize;
    ULONG BugCheckCode;
    ULONG_PTR BugCheckParameter1;
    ULONG_PTR BugCheckParameter2;
    ULONG_PTR BugCheckParameter3;
    ULONG_PTR BugCheckParameter4;
} KBUGCHECK_TRIAGE_DUMP_DATA, *PKBUGCHECK_TRIAGE_DUMP_DATA;

/*
 * "KeInitializeCallbackRecord macro (wdm.h)". mingw-w64's expands to a whole
 * statement around an unbracketed argument, so it neither nests nor takes an
 * expression such as &Record.
 */
#undef KeInitializeCallbackRecord
#define KeInitializeCallbackRecord(CallbackRecord) ((CallbackRecord)->State = BufferEmpty)

/*
 * "KBUGCHECK_CALLBACK_RECORD", "KBUGCHECK_REASON_CALLBACK_RECORD" and
 * "KBUGCHECK_DUMP_IO" as 64-bit Windows has them: a record of another shape
 * would break the kernel's list of records.
 */
C_ASSERT(sizeof(KBUGCHECK_CALLBACK_RECORD) == 0x40);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, CallbackRoutine) == 0x10);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, Buffer) == 0x18);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, Length) == 0x20);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, Component) == 0x28);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, Checksum) == 0x30);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_CALLBACK_RECORD, State) == 0x38);
C_ASSERT(sizeof(KBUGCHECK_REASON_CALLBACK_RECORD) == 0x30);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_REASON_CALLBACK_RECORD, CallbackRoutine) == 0x10);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_REASON_CALLBACK_RECORD, Component) == 0x18);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_REASON_CALLBACK_RECORD, Checksum) == 0x20);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_REASON_CALLBACK_RECORD, Reason) == 0x28);
C_ASSERT(FIELD_OFFSET(KBUGCHECK_REASON_CALLBACK_RECORD, State) == 0x2C);
C_ASSERT(sizeof(KBUGCHECK_DUMP_IO) == 0x18);
C_ASSERT(KbCallbackTriageDumpData == 7);
