/*
 * setupapi.dll for tests in Wine: everything is Wine's own, which stands beside
 * it as wsetup.dll, but for two functions that Wine has not. The signature is
 * what a test says it is: knob Verify, a code, or trusted.
 */
#include "shim.h"

#define TRUSTED_PUBLISHER 0xE0000241

/* The beginning of SP_INF_SIGNER_INFO_V2_W. */
struct signer {
    DWORD size;
    WCHAR catalogue[MAX_PATH], name[MAX_PATH];
};

BOOL WINAPI SetupVerifyInfFileW(PCWSTR inf, void *platform, struct signer *signer)
{
    static WCHAR catalogue[MAX_PATH];
    DWORD code = knob(L"Verify");

    lstrcpyW(catalogue, inf);
    lstrcpyW(catalogue + lstrlenW(inf) - 3, L"cat");
    if (GetFileAttributesW(inf) == INVALID_FILE_ATTRIBUTES
        || GetFileAttributesW(catalogue) == INVALID_FILE_ATTRIBUTES)
        code = ERROR_FILE_NOT_FOUND;
    lstrcpyW(signer->name, L"pvpanic test signer");
    SetLastError(code ? code : TRUSTED_PUBLISHER);
    return FALSE;
}

BOOL WINAPI SetupGetInfDriverStoreLocationW(PCWSTR name, void *platform,
    PCWSTR locale, PWSTR path, DWORD size, PDWORD needed)
{
    join(path, L"C:\\windows\\system32\\DriverStore\\FileRepository\\", name);
    lstrcatW(path, L"\\pvpanic.inf");
    return TRUE;
}
