/*
 * Calls into the framework. WdfVersionBind fills WdfFunctions with the address
 * of a table of function pointers, whose order is the enumeration WDFFUNCENUM
 * of wdfversion.h. Every function takes the driver's globals first.
 */
#pragma once

typedef VOID (*WDFFUNC)(VOID);

/* The symbol's name carries the version, so that objects built for different
 * versions do not link together; windows-drivers-rs computes the same name. */
#define WdfFunctions KMDF_FUNCTIONS_SYMBOL

extern const WDFFUNC *WdfFunctions;
extern PWDF_DRIVER_GLOBALS WdfDriverGlobals;

#if KMDF_VERSION_MINOR >= 25
/* From 1.25 on a driver may run on an older framework than it was built for;
 * the framework fills these in when it binds. */
typedef size_t *WDF_STRUCT_INFO;
extern BOOLEAN WdfClientVersionHigherThanFramework;
extern ULONG WdfFunctionCount;
extern ULONG WdfStructureCount;
extern WDF_STRUCT_INFO WdfStructures;

#ifdef KMDF_MINIMUM_VERSION_REQUIRED
/* It would also need the sizes of structures at run time. */
#error KMDF_MINIMUM_VERSION_REQUIRED is not supported by these headers
#endif
#endif

/*
 * Declares PFN_<UPPER>, the type of the table's entry, and the inline function
 * that calls it.
 */
#define KMDF_DECLARE(Result, Name, Upper, Parameters, Arguments)               \
    typedef Result(NTAPI *PFN_##Upper) KMDF_GLOBALS_AND Parameters;            \
    FORCEINLINE Result Name Parameters                                         \
    {                                                                          \
        return ((PFN_##Upper)WdfFunctions[Name##TableIndex])                   \
            KMDF_PASS_GLOBALS_AND Arguments;                                   \
    }
#define KMDF_GLOBALS_AND(...) (PWDF_DRIVER_GLOBALS DriverGlobals, __VA_ARGS__)
#define KMDF_PASS_GLOBALS_AND(...) (WdfDriverGlobals, __VA_ARGS__)
