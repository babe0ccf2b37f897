/*
 * mingw-w64's wdm.h, which ntddk.h includes, for ARM64. It knows 32-bit Arm,
 * for which it includes armddk.h, and of 64-bit processors x64 and Itanium.
 * What it has for those two holds for ARM64 as well: IO_STACK_LOCATION is not
 * packed, and lookaside lists have no second lock.
 */
#pragma once

#if defined(_M_ARM64)
/* Stays defined: ntddk.h asks for it too. */
#define _M_ARM
#define _IA64_
#endif

#include_next <wdm.h>

#if defined(_M_ARM64)
#undef _IA64_
#endif
