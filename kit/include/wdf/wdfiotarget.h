/* I/O targets: the drivers below. */
#pragma once

KMDF_DECLARE(NTSTATUS, WdfIoTargetSendIoctlSynchronously, WDFIOTARGETSENDIOCTLSYNCHRONOUSLY,
             (WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
              PWDF_MEMORY_DESCRIPTOR InputBuffer, PWDF_MEMORY_DESCRIPTOR OutputBuffer,
              PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesReturned),
             (IoTarget, Request, IoctlCode, InputBuffer, OutputBuffer, RequestOptions,
              BytesReturned))
KMDF_DECLARE(NTSTATUS, WdfIoTargetSendInternalIoctlSynchronously,
             WDFIOTARGETSENDINTERNALIOCTLSYNCHRONOUSLY,
             (WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
              PWDF_MEMORY_DESCRIPTOR InputBuffer, PWDF_MEMORY_DESCRIPTOR OutputBuffer,
              PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesReturned),
             (IoTarget, Request, IoctlCode, InputBuffer, OutputBuffer, RequestOptions,
              BytesReturned))
