/* Timers. */
#pragma once

typedef VOID NTAPI EVT_WDF_TIMER(WDFTIMER Timer);
typedef EVT_WDF_TIMER *PFN_WDF_TIMER;

/* Period and TolerableDelay in milliseconds. */
typedef struct _WDF_TIMER_CONFIG {
    ULONG Size;
    PFN_WDF_TIMER EvtTimerFunc;
    ULONG Period;
    BOOLEAN AutomaticSerialization;
    ULONG TolerableDelay;
    DECLSPEC_ALIGN(8) BOOLEAN UseHighResolutionTimer;
} WDF_TIMER_CONFIG, *PWDF_TIMER_CONFIG;

C_ASSERT(sizeof(WDF_TIMER_CONFIG) == 40);
C_ASSERT(FIELD_OFFSET(WDF_TIMER_CONFIG, EvtTimerFunc) == 8);
C_ASSERT(FIELD_OFFSET(WDF_TIMER_CONFIG, Period) == 16);
C_ASSERT(FIELD_OFFSET(WDF_TIMER_CONFIG, AutomaticSerialization) == 20);
C_ASSERT(FIELD_OFFSET(WDF_TIMER_CONFIG, TolerableDelay) == 24);
C_ASSERT(FIELD_OFFSET(WDF_TIMER_CONFIG, UseHighResolutionTimer) == 32);

FORCEINLINE VOID WDF_TIMER_CONFIG_INIT_PERIODIC(PWDF_TIMER_CONFIG Config,
                                                PFN_WDF_TIMER EvtTimerFunc, ULONG Period)
{
    RtlZeroMemory(Config, sizeof(*Config));
    Config->Size = sizeof(*Config);
    Config->EvtTimerFunc = EvtTimerFunc;
    Config->Period = Period;
    Config->AutomaticSerialization = TRUE;
}

FORCEINLINE VOID WDF_TIMER_CONFIG_INIT(PWDF_TIMER_CONFIG Config, PFN_WDF_TIMER EvtTimerFunc)
{
    WDF_TIMER_CONFIG_INIT_PERIODIC(Config, EvtTimerFunc, 0);
}

KMDF_DECLARE(NTSTATUS, WdfTimerCreate, WDFTIMERCREATE,
             (PWDF_TIMER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFTIMER *Timer),
             (Config, Attributes, Timer))
KMDF_DECLARE(BOOLEAN, WdfTimerStart, WDFTIMERSTART, (WDFTIMER Timer, LONGLONG DueTime),
             (Timer, DueTime))
KMDF_DECLARE(BOOLEAN, WdfTimerStop, WDFTIMERSTOP, (WDFTIMER Timer, BOOLEAN Wait), (Timer, Wait))
KMDF_DECLARE(WDFOBJECT, WdfTimerGetParentObject, WDFTIMERGETPARENTOBJECT, (WDFTIMER Timer),
             (Timer))
