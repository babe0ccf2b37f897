//! The order in which KMDF calls a driver (Microsoft's pages "Adding a Device" and "`PnP` and Power
//! Management Callback Sequences"), as `tests/nt/drivers/order.c` sees it.

/// A scenario and the callbacks that it leads to, without the prefixes `EvtDevice`
/// and `Evt`.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// What is checked, as a sentence.
    pub name: &'static str,
    /// The steps.
    pub scenario: &'static str,
    /// The callbacks, in order.
    pub callbacks: &'static str,
}

/// All of them.
pub const ORDERS: &[Order] = &[
    Order {
        name: "a device is added, prepared and powered up",
        scenario: "load\nstart\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit",
    },
    Order {
        name: "an unload undoes it all, the device first",
        scenario: "load\nstart\nunload\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit SelfManagedIoSuspend \
                    D0ExitPreInterruptsDisabled D0Exit ReleaseHardware SelfManagedIoFlush \
                    SelfManagedIoCleanup CleanupCallback DestroyCallback DriverUnload DriverUnload \
                    CleanupCallback DestroyCallback",
    },
    Order {
        name: "a stop keeps the device object",
        scenario: "load\nstart\nrestart 0\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit SelfManagedIoSuspend \
                    D0ExitPreInterruptsDisabled D0Exit ReleaseHardware PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoRestart",
    },
    Order {
        name: "sleep keeps the hardware",
        scenario: "load\nstart\nsuspend\nresume\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit SelfManagedIoSuspend \
                    D0ExitPreInterruptsDisabled D0Exit D0Entry D0EntryPostInterruptsEnabled \
                    SelfManagedIoRestart",
    },
    Order {
        name: "surprise removal is told first",
        scenario: "load\nstart\nsurprise-remove 0\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit SurpriseRemoval \
                    SelfManagedIoSuspend D0ExitPreInterruptsDisabled D0Exit ReleaseHardware \
                    SelfManagedIoFlush SelfManagedIoCleanup CleanupCallback DestroyCallback",
    },
    Order {
        name: "a failed prepare is followed by release, and by no restart where the driver says so",
        scenario: "set Fail 10\nload\nstart\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback \
                    DestroyCallback",
    },
    Order {
        name: "a failed start is tried five times more",
        scenario: "set Fail 1\nload\nstart\n",
        callbacks: "DriverEntry \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware ReleaseHardware CleanupCallback DestroyCallback",
    },
    Order {
        name: "a failed power-up after sleep takes the device away without a D0 exit",
        scenario: "set Fail 3\nload\nstart\nsuspend\nresume\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit SelfManagedIoSuspend \
                    D0ExitPreInterruptsDisabled D0Exit D0Entry SurpriseRemoval ReleaseHardware \
                    SelfManagedIoFlush SelfManagedIoCleanup CleanupCallback DestroyCallback",
    },
    Order {
        name: "a failed power-up is followed by release and by restarts",
        scenario: "set Fail 2\nload\nstart\n",
        callbacks: "DriverEntry \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback \
            DriverDeviceAdd PrepareHardware D0Entry ReleaseHardware CleanupCallback DestroyCallback",
    },
    Order {
        name: "a dump asks for pages and data before it is written, and the others come last",
        scenario: "load\nstart\nbugcheck 0xE2 dump\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit \
                    KbCallbackTriageDumpData KbCallbackAddPages KbCallbackDumpIo KbCallbackDumpIo \
                    KbCallbackDumpIo KbCallbackDumpIo KbCallbackSecondaryDumpData KbCallbackDumpIo \
                    KbCallbackDumpIo BugCheckCallback",
    },
    Order {
        name: "builds before 1809 have no triage data",
        scenario: "set build 14393\nload\nstart\nbugcheck 0xE2 dump\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit \
                    KbCallbackAddPages KbCallbackDumpIo KbCallbackDumpIo KbCallbackDumpIo \
                    KbCallbackDumpIo KbCallbackSecondaryDumpData KbCallbackDumpIo \
                    KbCallbackDumpIo BugCheckCallback",
    },
    Order {
        name: "a dump that breaks off has no completion",
        scenario: "load\nstart\nbugcheck 0xE2 dump-fails=2\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit \
                    KbCallbackTriageDumpData KbCallbackAddPages KbCallbackDumpIo KbCallbackDumpIo \
                    BugCheckCallback",
    },
    Order {
        name: "without a dump only the plain callbacks run",
        scenario: "load\nstart\nbugcheck 0xE2 no-dump\n",
        callbacks: "DriverEntry DriverDeviceAdd PrepareHardware D0Entry \
                    D0EntryPostInterruptsEnabled SelfManagedIoInit BugCheckCallback",
    },
    Order {
        name: "a refused device leaves nothing to undo",
        scenario: "set Fail 4\nload\nstart\n",
        callbacks: "DriverEntry DriverDeviceAdd",
    },
    Order {
        name: "a failed DriverEntry deletes the driver object without an unload",
        scenario: "set Fail 5\nload\nstart\n",
        callbacks: "DriverEntry CleanupCallback DestroyCallback",
    },
];
