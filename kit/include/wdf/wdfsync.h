/* Spin locks. */
#pragma once

KMDF_DECLARE(NTSTATUS, WdfSpinLockCreate, WDFSPINLOCKCREATE,
             (PWDF_OBJECT_ATTRIBUTES SpinLockAttributes, WDFSPINLOCK *SpinLock),
             (SpinLockAttributes, SpinLock))
KMDF_DECLARE(VOID, WdfSpinLockAcquire, WDFSPINLOCKACQUIRE, (WDFSPINLOCK SpinLock), (SpinLock))
KMDF_DECLARE(VOID, WdfSpinLockRelease, WDFSPINLOCKRELEASE, (WDFSPINLOCK SpinLock), (SpinLock))
