/* Hardware resource lists. */
#pragma once

KMDF_DECLARE(ULONG, WdfCmResourceListGetCount, WDFCMRESOURCELISTGETCOUNT,
             (WDFCMRESLIST List), (List))
KMDF_DECLARE(PCM_PARTIAL_RESOURCE_DESCRIPTOR, WdfCmResourceListGetDescriptor,
             WDFCMRESOURCELISTGETDESCRIPTOR, (WDFCMRESLIST List, ULONG Index), (List, Index))
