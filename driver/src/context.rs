//! Typed context space of framework objects.

use core::ptr::NonNull;

use wdk_sys::{
    _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
    _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
    PCWDF_OBJECT_CONTEXT_TYPE_INFO, WDF_OBJECT_ATTRIBUTES, WDF_OBJECT_CONTEXT_TYPE_INFO, WDFOBJECT,
    call_unsafe_wdf_function_binding,
};

use crate::size;

/// A type that lives in the context space of a framework object.
///
/// # Safety
///
/// `type_info` must answer the same static for every call, and a static that no
/// other type answers: the framework finds a context by that address.
pub unsafe trait Context: Sized {
    /// The framework's description of this type.
    fn type_info() -> &'static TypeInfo;
}

/// `WDF_OBJECT_CONTEXT_TYPE_INFO`, as a static that the framework only reads.
#[repr(transparent)]
pub struct TypeInfo(WDF_OBJECT_CONTEXT_TYPE_INFO);

// SAFETY: the framework and this driver only read it, and the pointers in it are
// those of statics (Microsoft, "Framework Object Context Space").
unsafe impl Sync for TypeInfo {}

impl TypeInfo {
    /// Describes `T`; `this` is the static that the result is stored in.
    pub const fn new<T>(name: &'static core::ffi::CStr, this: &'static Self) -> Self {
        Self(WDF_OBJECT_CONTEXT_TYPE_INFO {
            Size: size::<WDF_OBJECT_CONTEXT_TYPE_INFO>(),
            ContextName: name.as_ptr().cast_mut(),
            ContextSize: size_of::<T>(),
            UniqueType: &raw const this.0,
            EvtDriverGetUniqueContextType: None,
        })
    }

    /// What the framework takes for the type's identity.
    const fn unique(&'static self) -> PCWDF_OBJECT_CONTEXT_TYPE_INFO {
        self.0.UniqueType
    }
}

/// `WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE`.
pub fn attributes<T: Context>() -> WDF_OBJECT_ATTRIBUTES {
    WDF_OBJECT_ATTRIBUTES {
        Size: size::<WDF_OBJECT_ATTRIBUTES>(),
        ExecutionLevel: WdfExecutionLevelInheritFromParent,
        SynchronizationScope: WdfSynchronizationScopeInheritFromParent,
        ContextTypeInfo: T::type_info().unique(),
        ..WDF_OBJECT_ATTRIBUTES::default()
    }
}

/// The context of type `T` of `object`: zeroed nonpaged memory at first, at the
/// same address as long as the object lives.
///
/// IRQL: any up to `DISPATCH_LEVEL`.
///
/// # Safety
///
/// `object` must be alive and created with [`attributes`] of `T`.
pub unsafe fn of<T: Context>(object: WDFOBJECT) -> NonNull<T> {
    // SAFETY: the handle is alive and has this context, says the caller
    // (Microsoft, "WdfObjectGetTypedContextWorker").
    let context = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfObjectGetTypedContextWorker,
            object,
            T::type_info().unique()
        )
    };
    // SAFETY: the framework never answers null for a context that the object was
    // created with.
    unsafe { NonNull::new_unchecked(context.cast()) }
}
