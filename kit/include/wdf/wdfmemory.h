/* Memory objects and the descriptors that I/O targets take. */
#pragma once

typedef struct _WDFMEMORY_OFFSET {
    size_t BufferOffset;
    size_t BufferLength;
} WDFMEMORY_OFFSET, *PWDFMEMORY_OFFSET;

C_ASSERT(sizeof(WDFMEMORY_OFFSET) == 16);
C_ASSERT(FIELD_OFFSET(WDFMEMORY_OFFSET, BufferLength) == 8);

typedef enum _WDF_MEMORY_DESCRIPTOR_TYPE {
    WdfMemoryDescriptorTypeInvalid = 0,
    WdfMemoryDescriptorTypeBuffer,
    WdfMemoryDescriptorTypeMdl,
    WdfMemoryDescriptorTypeHandle,
} WDF_MEMORY_DESCRIPTOR_TYPE;

typedef struct _WDF_MEMORY_DESCRIPTOR {
    WDF_MEMORY_DESCRIPTOR_TYPE Type;
    union {
        struct {
            PVOID Buffer;
            ULONG Length;
        } BufferType;
        struct {
            PMDL Mdl;
            ULONG BufferLength;
        } MdlType;
        struct {
            WDFMEMORY Memory;
            PWDFMEMORY_OFFSET Offsets;
        } HandleType;
    } u;
} WDF_MEMORY_DESCRIPTOR, *PWDF_MEMORY_DESCRIPTOR;

C_ASSERT(sizeof(WDF_MEMORY_DESCRIPTOR) == 24);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.BufferType.Buffer) == 8);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.BufferType.Length) == 16);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.MdlType.Mdl) == 8);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.MdlType.BufferLength) == 16);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.HandleType.Memory) == 8);
C_ASSERT(FIELD_OFFSET(WDF_MEMORY_DESCRIPTOR, u.HandleType.Offsets) == 16);

FORCEINLINE VOID WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(PWDF_MEMORY_DESCRIPTOR Descriptor,
                                                   PVOID Buffer, ULONG BufferLength)
{
    RtlZeroMemory(Descriptor, sizeof(*Descriptor));
    Descriptor->Type = WdfMemoryDescriptorTypeBuffer;
    Descriptor->u.BufferType.Buffer = Buffer;
    Descriptor->u.BufferType.Length = BufferLength;
}

FORCEINLINE VOID WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(PWDF_MEMORY_DESCRIPTOR Descriptor,
                                                   WDFMEMORY Memory, PWDFMEMORY_OFFSET Offsets)
{
    RtlZeroMemory(Descriptor, sizeof(*Descriptor));
    Descriptor->Type = WdfMemoryDescriptorTypeHandle;
    Descriptor->u.HandleType.Memory = Memory;
    Descriptor->u.HandleType.Offsets = Offsets;
}

KMDF_DECLARE(NTSTATUS, WdfMemoryCreate, WDFMEMORYCREATE,
             (PWDF_OBJECT_ATTRIBUTES Attributes, POOL_TYPE PoolType, ULONG PoolTag,
              size_t BufferSize, WDFMEMORY *Memory, PVOID *Buffer),
             (Attributes, PoolType, PoolTag, BufferSize, Memory, Buffer))
KMDF_DECLARE(NTSTATUS, WdfMemoryCreatePreallocated, WDFMEMORYCREATEPREALLOCATED,
             (PWDF_OBJECT_ATTRIBUTES Attributes, PVOID Buffer, size_t BufferSize,
              WDFMEMORY *Memory),
             (Attributes, Buffer, BufferSize, Memory))
KMDF_DECLARE(PVOID, WdfMemoryGetBuffer, WDFMEMORYGETBUFFER,
             (WDFMEMORY Memory, size_t *BufferSize), (Memory, BufferSize))
