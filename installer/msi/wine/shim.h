/*
 * What the shims share: the knobs that a test sets in the registry, under
 * HKLM\Software\pvpanic-test, and text without a C library.
 */
#define UNICODE
#include <windows.h>

static void join(WCHAR *to, const WCHAR *one, const WCHAR *other)
{
    lstrcpyW(to, one);
    lstrcatW(to, other);
}

static DWORD knob(const WCHAR *name)
{
    DWORD value = 0, size = sizeof(value);

    RegGetValueW(HKEY_LOCAL_MACHINE, L"Software\\pvpanic-test", name, RRF_RT_REG_DWORD, NULL,
        &value, &size);
    return value;
}
