/* Framework objects, their attributes and their contexts. */
#pragma once

typedef enum _WDF_EXECUTION_LEVEL {
    WdfExecutionLevelInvalid = 0,
    WdfExecutionLevelInheritFromParent,
    WdfExecutionLevelPassive,
    WdfExecutionLevelDispatch,
} WDF_EXECUTION_LEVEL;

typedef enum _WDF_SYNCHRONIZATION_SCOPE {
    WdfSynchronizationScopeInvalid = 0,
    WdfSynchronizationScopeInheritFromParent,
    WdfSynchronizationScopeDevice,
    WdfSynchronizationScopeQueue,
    WdfSynchronizationScopeNone,
} WDF_SYNCHRONIZATION_SCOPE;

typedef VOID NTAPI EVT_WDF_OBJECT_CONTEXT_CLEANUP(WDFOBJECT Object);
typedef EVT_WDF_OBJECT_CONTEXT_CLEANUP *PFN_WDF_OBJECT_CONTEXT_CLEANUP;
typedef VOID NTAPI EVT_WDF_OBJECT_CONTEXT_DESTROY(WDFOBJECT Object);
typedef EVT_WDF_OBJECT_CONTEXT_DESTROY *PFN_WDF_OBJECT_CONTEXT_DESTROY;

/* Later versions say that the framework does not change these texts. */
#if KMDF_VERSION_MINOR >= 21
#define KMDF_FILE_NAME PCCH
#else
#define KMDF_FILE_NAME PCHAR
#endif
#if KMDF_VERSION_MINOR >= 23
#define KMDF_CONTEXT_NAME PCCH
#else
#define KMDF_CONTEXT_NAME PCHAR
#endif

typedef const struct _WDF_OBJECT_CONTEXT_TYPE_INFO *PCWDF_OBJECT_CONTEXT_TYPE_INFO;
typedef PCWDF_OBJECT_CONTEXT_TYPE_INFO(__cdecl *PFN_GET_UNIQUE_CONTEXT_TYPE)(VOID);

typedef struct _WDF_OBJECT_CONTEXT_TYPE_INFO {
    ULONG Size;
    KMDF_CONTEXT_NAME ContextName;
    size_t ContextSize;
    PCWDF_OBJECT_CONTEXT_TYPE_INFO UniqueType;
    PFN_GET_UNIQUE_CONTEXT_TYPE EvtDriverGetUniqueContextType;
} WDF_OBJECT_CONTEXT_TYPE_INFO, *PWDF_OBJECT_CONTEXT_TYPE_INFO;

C_ASSERT(sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO) == 40);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_CONTEXT_TYPE_INFO, ContextName) == 8);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_CONTEXT_TYPE_INFO, ContextSize) == 16);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_CONTEXT_TYPE_INFO, UniqueType) == 24);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_CONTEXT_TYPE_INFO, EvtDriverGetUniqueContextType) == 32);

typedef struct _WDF_OBJECT_ATTRIBUTES {
    ULONG Size;
    PFN_WDF_OBJECT_CONTEXT_CLEANUP EvtCleanupCallback;
    PFN_WDF_OBJECT_CONTEXT_DESTROY EvtDestroyCallback;
    WDF_EXECUTION_LEVEL ExecutionLevel;
    WDF_SYNCHRONIZATION_SCOPE SynchronizationScope;
    WDFOBJECT ParentObject;
    size_t ContextSizeOverride;
    PCWDF_OBJECT_CONTEXT_TYPE_INFO ContextTypeInfo;
} WDF_OBJECT_ATTRIBUTES, *PWDF_OBJECT_ATTRIBUTES;

C_ASSERT(sizeof(WDF_OBJECT_ATTRIBUTES) == 56);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, EvtCleanupCallback) == 8);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, EvtDestroyCallback) == 16);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, ExecutionLevel) == 24);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, SynchronizationScope) == 28);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, ParentObject) == 32);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, ContextSizeOverride) == 40);
C_ASSERT(FIELD_OFFSET(WDF_OBJECT_ATTRIBUTES, ContextTypeInfo) == 48);

FORCEINLINE VOID WDF_OBJECT_ATTRIBUTES_INIT(PWDF_OBJECT_ATTRIBUTES Attributes)
{
    RtlZeroMemory(Attributes, sizeof(*Attributes));
    Attributes->Size = sizeof(*Attributes);
    Attributes->ExecutionLevel = WdfExecutionLevelInheritFromParent;
    Attributes->SynchronizationScope = WdfSynchronizationScopeInheritFromParent;
}

KMDF_DECLARE(PVOID, WdfObjectGetTypedContextWorker, WDFOBJECTGETTYPEDCONTEXTWORKER,
             (WDFOBJECT Handle, PCWDF_OBJECT_CONTEXT_TYPE_INFO TypeInfo), (Handle, TypeInfo))
KMDF_DECLARE(NTSTATUS, WdfObjectAllocateContext, WDFOBJECTALLOCATECONTEXT,
             (WDFOBJECT Handle, PWDF_OBJECT_ATTRIBUTES ContextAttributes, PVOID *Context),
             (Handle, ContextAttributes, Context))
KMDF_DECLARE(WDFOBJECT, WdfObjectContextGetObject, WDFOBJECTCONTEXTGETOBJECT,
             (PVOID ContextPointer), (ContextPointer))
KMDF_DECLARE(VOID, WdfObjectReferenceActual, WDFOBJECTREFERENCEACTUAL,
             (WDFOBJECT Handle, PVOID Tag, LONG Line, KMDF_FILE_NAME File), (Handle, Tag, Line, File))
KMDF_DECLARE(VOID, WdfObjectDereferenceActual, WDFOBJECTDEREFERENCEACTUAL,
             (WDFOBJECT Handle, PVOID Tag, LONG Line, KMDF_FILE_NAME File), (Handle, Tag, Line, File))
KMDF_DECLARE(NTSTATUS, WdfObjectCreate, WDFOBJECTCREATE,
             (PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Object), (Attributes, Object))
KMDF_DECLARE(VOID, WdfObjectDelete, WDFOBJECTDELETE, (WDFOBJECT Object), (Object))

#define WdfObjectReference(Handle) WdfObjectReferenceActual(Handle, NULL, __LINE__, __FILE__)
#define WdfObjectDereference(Handle) WdfObjectDereferenceActual(Handle, NULL, __LINE__, __FILE__)

/*
 * "WDF_DECLARE_CONTEXT_TYPE_WITH_NAME macro (wdfobject.h)": the type's
 * description, which is its own identity, and an accessor.
 */
#define WDF_GET_CONTEXT_TYPE_INFO(ContextType) (&_WDF_##ContextType##_TYPE_INFO)
#define WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(ContextType, CastingFunction)       \
    __declspec(selectany) extern const WDF_OBJECT_CONTEXT_TYPE_INFO            \
        _WDF_##ContextType##_TYPE_INFO = {                                     \
            sizeof(WDF_OBJECT_CONTEXT_TYPE_INFO),                              \
            #ContextType,                                                      \
            sizeof(ContextType),                                               \
            WDF_GET_CONTEXT_TYPE_INFO(ContextType),                            \
            NULL,                                                              \
    };                                                                         \
    FORCEINLINE ContextType *CastingFunction(WDFOBJECT Handle)                 \
    {                                                                          \
        return (ContextType *)WdfObjectGetTypedContextWorker(                  \
            Handle, WDF_GET_CONTEXT_TYPE_INFO(ContextType)->UniqueType);       \
    }
#define WDF_DECLARE_CONTEXT_TYPE(ContextType) \
    WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(ContextType, WdfObjectGet_##ContextType)
#define WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(Attributes, ContextType) \
    ((Attributes)->ContextTypeInfo = WDF_GET_CONTEXT_TYPE_INFO(ContextType)->UniqueType)
#define WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(Attributes, ContextType)       \
    do {                                                                       \
        WDF_OBJECT_ATTRIBUTES_INIT(Attributes);                                \
        WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(Attributes, ContextType);       \
    } while (0)
