/*
 * What wdm.h has for ARM64 and mingw-w64 lacks: it includes a file of this name
 * for Arm and has none. The values are those of Microsoft's wdm.h for ARM64;
 * the page size and the levels are those of x64.
 */
#pragma once

#define PASSIVE_LEVEL  0
#define LOW_LEVEL      0
#define APC_LEVEL      1
#define DISPATCH_LEVEL 2
#define CLOCK_LEVEL    13
#define IPI_LEVEL      14
#define DRS_LEVEL      14
#define POWER_LEVEL    14
#define PROFILE_LEVEL  15
#define HIGH_LEVEL     15

#define PAGE_SIZE  0x1000
#define PAGE_SHIFT 12L

typedef struct _KFLOATING_SAVE {
    ULONG Dummy;
} KFLOATING_SAVE, *PKFLOATING_SAVE;

/* "KeGetCurrentIrql", "KfRaiseIrql" and "KeLowerIrql" (wdm.h): on x64 inline. */
NTKERNELAPI KIRQL NTAPI KeGetCurrentIrql(VOID);
NTKERNELAPI KIRQL NTAPI KfRaiseIrql(KIRQL NewIrql);
NTKERNELAPI VOID NTAPI KeLowerIrql(KIRQL NewIrql);
#define KeRaiseIrql(NewIrql, OldIrql) (*(OldIrql) = KfRaiseIrql(NewIrql))

/* mingw-w64's wdm.h names it; a driver calls PsGetCurrentThread. */
NTKERNELAPI PKTHREAD NTAPI KeGetCurrentThread(VOID);
