/* I/O queues. */
#pragma once

typedef enum _WDF_IO_QUEUE_DISPATCH_TYPE {
    WdfIoQueueDispatchInvalid = 0,
    WdfIoQueueDispatchSequential,
    WdfIoQueueDispatchParallel,
    WdfIoQueueDispatchManual,
    WdfIoQueueDispatchMax,
} WDF_IO_QUEUE_DISPATCH_TYPE;

typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_DEFAULT(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_DEFAULT *PFN_WDF_IO_QUEUE_IO_DEFAULT;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_READ(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef EVT_WDF_IO_QUEUE_IO_READ *PFN_WDF_IO_QUEUE_IO_READ;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_WRITE(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef EVT_WDF_IO_QUEUE_IO_WRITE *PFN_WDF_IO_QUEUE_IO_WRITE;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL(WDFQUEUE Queue, WDFREQUEST Request,
                                                      size_t OutputBufferLength,
                                                      size_t InputBufferLength,
                                                      ULONG IoControlCode);
typedef EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL *PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL(WDFQUEUE Queue, WDFREQUEST Request,
                                                               size_t OutputBufferLength,
                                                               size_t InputBufferLength,
                                                               ULONG IoControlCode);
typedef EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL *PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_STOP(WDFQUEUE Queue, WDFREQUEST Request, ULONG ActionFlags);
typedef EVT_WDF_IO_QUEUE_IO_STOP *PFN_WDF_IO_QUEUE_IO_STOP;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_RESUME(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_RESUME *PFN_WDF_IO_QUEUE_IO_RESUME;
typedef VOID NTAPI EVT_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE *PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE;

typedef struct _WDF_IO_QUEUE_CONFIG {
    ULONG Size;
    WDF_IO_QUEUE_DISPATCH_TYPE DispatchType;
    WDF_TRI_STATE PowerManaged;
    BOOLEAN AllowZeroLengthRequests;
    BOOLEAN DefaultQueue;
    PFN_WDF_IO_QUEUE_IO_DEFAULT EvtIoDefault;
    PFN_WDF_IO_QUEUE_IO_READ EvtIoRead;
    PFN_WDF_IO_QUEUE_IO_WRITE EvtIoWrite;
    PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoDeviceControl;
    PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL EvtIoInternalDeviceControl;
    PFN_WDF_IO_QUEUE_IO_STOP EvtIoStop;
    PFN_WDF_IO_QUEUE_IO_RESUME EvtIoResume;
    PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE EvtIoCanceledOnQueue;
    union {
        struct {
            ULONG NumberOfPresentedRequests;
        } Parallel;
    } Settings;
    WDFDRIVER Driver;
} WDF_IO_QUEUE_CONFIG, *PWDF_IO_QUEUE_CONFIG;

C_ASSERT(sizeof(WDF_IO_QUEUE_CONFIG) == 96);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, DispatchType) == 4);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, PowerManaged) == 8);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, AllowZeroLengthRequests) == 12);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, DefaultQueue) == 13);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoDefault) == 16);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoRead) == 24);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoWrite) == 32);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoDeviceControl) == 40);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoInternalDeviceControl) == 48);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoStop) == 56);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoResume) == 64);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, EvtIoCanceledOnQueue) == 72);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, Settings) == 80);
C_ASSERT(FIELD_OFFSET(WDF_IO_QUEUE_CONFIG, Driver) == 88);

FORCEINLINE VOID WDF_IO_QUEUE_CONFIG_INIT(PWDF_IO_QUEUE_CONFIG Config,
                                          WDF_IO_QUEUE_DISPATCH_TYPE DispatchType)
{
    RtlZeroMemory(Config, sizeof(*Config));
    Config->Size = sizeof(*Config);
    Config->DispatchType = DispatchType;
    Config->PowerManaged = WdfUseDefault;
    if (DispatchType == WdfIoQueueDispatchParallel) {
        Config->Settings.Parallel.NumberOfPresentedRequests = (ULONG)-1;
    }
}

FORCEINLINE VOID WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(PWDF_IO_QUEUE_CONFIG Config,
                                                        WDF_IO_QUEUE_DISPATCH_TYPE DispatchType)
{
    WDF_IO_QUEUE_CONFIG_INIT(Config, DispatchType);
    Config->DefaultQueue = TRUE;
}

KMDF_DECLARE(NTSTATUS, WdfIoQueueCreate, WDFIOQUEUECREATE,
             (WDFDEVICE Device, PWDF_IO_QUEUE_CONFIG Config,
              PWDF_OBJECT_ATTRIBUTES QueueAttributes, WDFQUEUE *Queue),
             (Device, Config, QueueAttributes, Queue))
KMDF_DECLARE(WDFDEVICE, WdfIoQueueGetDevice, WDFIOQUEUEGETDEVICE, (WDFQUEUE Queue), (Queue))
