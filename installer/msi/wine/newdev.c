/*
 * newdev.dll for tests in Wine, whose own has no DiUninstallDriverW and whose
 * DiInstallDriverW does nothing. It does the real work with Wine's setupapi:
 * the INF is published under windows\INF, the package stored, the .sys copied
 * and the service made by SetupDiInstallDevice. It answers what a test asked it
 * to answer: knobs Install, Force and Uninstall are codes to fail with,
 * Stubborn says yes and installs nowhere, Restart wants one.
 *
 * With PNPUTIL it is pnputil.exe instead, with SERVER2016 it lacks what build
 * 14393 lacks.
 */
#include "shim.h"
#include <setupapi.h>
#include <newdev.h>
#include <winsvc.h>

#define INF L"C:\\windows\\INF\\"
#define STORE L"C:\\windows\\system32\\DriverStore\\FileRepository\\"

#define CATALOGUES L"C:\\windows\\system32\\catroot\\{f750e6c3-38ee-11d1-85e5-00c04fc295ee}\\"

static const DEVPROPKEY inf_path = {{0xa8b865dd, 0x2e3d, 0x4094,
    {0xad, 0x97, 0xe5, 0x93, 0xa7, 0xc, 0x75, 0xd6}}, 5};

/* Not in mingw-w64's header. */
BOOL WINAPI SetupDiSetDevicePropertyW(HDEVINFO set, PSP_DEVINFO_DATA device,
    const DEVPROPKEY *key, DEVPROPTYPE type, const BYTE *value, DWORD size, DWORD flags);

static SP_DEVINFO_DATA device;
static SP_DEVINSTALL_PARAMS_W parameters;
static WCHAR text[4096], other[4096];

static BOOL same(const WCHAR *one, const WCHAR *other)
{
    return lstrcmpiW(one, other) == 0;
}

/* A file's first bytes, ended by two zeros. */
static int content(const WCHAR *path, WCHAR *into)
{
    DWORD length = 0, index;
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);

    for (index = 0; index < 4096; index++)
        into[index] = 0;
    if (file != INVALID_HANDLE_VALUE) {
        ReadFile(file, into, sizeof(text) - sizeof(WCHAR), &length, NULL);
        CloseHandle(file);
    }
    return length;
}

/* DriverVer as one number: year, month, day and the first three of the version. */
static ULONGLONG rank(const WCHAR *inf)
{
    static WCHAR value[64];
    ULONGLONG numbers[7] = {0};
    int index = 0;
    WCHAR *at;

    GetPrivateProfileStringW(L"Version", L"DriverVer", L"", value, 64, inf);
    for (at = value; *at && index < 7; at++) {
        if (*at >= '0' && *at <= '9')
            numbers[index] = numbers[index] * 10 + (*at - '0');
        else
            index++;
    }
    return ((((numbers[2] * 16 + numbers[0]) * 32 + numbers[1]) * 1024 + numbers[3]) * 1024
        + numbers[4]) * 1024 + numbers[5];
}

static HDEVINFO devices(void)
{
    return SetupDiGetClassDevsW(NULL, NULL, NULL, DIGCF_ALLCLASSES | DIGCF_PRESENT);
}

static BOOL next(HDEVINFO set, DWORD index)
{
    device.cbSize = sizeof(device);
    return SetupDiEnumDeviceInfo(set, index, &device);
}

static void current(HDEVINFO set, WCHAR *name)
{
    DEVPROPTYPE type;

    *name = 0;
    SetupDiGetDevicePropertyW(set, &device, &inf_path, &type, (BYTE *)name, 64, NULL, 0);
}

/* Puts a stored package onto the device, if the package knows it. */
static BOOL put(HDEVINFO set, const WCHAR *name)
{
    static WCHAR path[MAX_PATH];
    BOOL done;

    join(path, STORE, name);
    lstrcatW(path, L"\\pvpanic.inf");
    parameters.cbSize = sizeof(parameters);
    if (!SetupDiGetDeviceInstallParamsW(set, &device, &parameters))
        return FALSE;
    lstrcpyW(parameters.DriverPath, path);
    parameters.Flags |= DI_ENUMSINGLEINF | DI_QUIETINSTALL;
    SetupDiSetDeviceInstallParamsW(set, &device, &parameters);
    SetupDiDestroyDriverInfoList(set, &device, SPDIT_COMPATDRIVER);
    done = SetupDiBuildDriverInfoList(set, &device, SPDIT_COMPATDRIVER)
        && SetupDiSelectBestCompatDrv(set, &device)
        && SetupDiInstallDevice(set, &device);
    if (done)
        SetupDiSetDevicePropertyW(set, &device, &inf_path, DEVPROP_TYPE_STRING,
            (const BYTE *)name, (lstrlenW(name) + 1) * sizeof(WCHAR), 0);
    return done;
}

static void copy(const WCHAR *from, const WCHAR *to, const WCHAR *name)
{
    static WCHAR source[MAX_PATH], target[MAX_PATH];

    join(source, from, name);
    join(target, to, name);
    CopyFileW(source, target, FALSE);
}

/* Publishes a package and answers with its name, or with the name it has. */
static BOOL stage(const WCHAR *inf, WCHAR *name)
{
    static WCHAR path[MAX_PATH], folder[MAX_PATH], store[MAX_PATH];
    WIN32_FIND_DATAW found;
    DWORD number;
    DWORD length = content(inf, text);
    HANDLE search = FindFirstFileW(INF L"oem*.inf", &found);
    BOOL there = FALSE;

    while (search != INVALID_HANDLE_VALUE && !there) {
        join(path, INF, found.cFileName);
        there = content(path, other) == length && same(text, other);
        if (there)
            lstrcpyW(name, found.cFileName);
        else if (!FindNextFileW(search, &found))
            break;
    }
    FindClose(search);
    if (there)
        return TRUE;
    /* Wine's SetupCopyOEMInf keeps the name that the INF has. */
    for (number = 0; number < 10 && !there; number++) {
        lstrcpyW(name, L"oem0.inf");
        name[3] += number;
        join(path, INF, name);
        there = CopyFileW(inf, path, TRUE);
    }
    if (!there)
        return FALSE;
    lstrcpyW(folder, inf);
    folder[lstrlenW(inf) - lstrlenW(L"pvpanic.inf")] = 0;
    join(store, STORE, name);
    CreateDirectoryW(L"C:\\windows\\system32\\DriverStore", NULL);
    CreateDirectoryW(L"C:\\windows\\system32\\DriverStore\\FileRepository", NULL);
    CreateDirectoryW(store, NULL);
    lstrcatW(store, L"\\");
    copy(folder, store, L"pvpanic.inf");
    copy(folder, store, L"pvpanic.cat");
    copy(folder, store, L"pvpanic.sys");
    return TRUE;
}

BOOL WINAPI DiInstallDriverW(HWND window, LPCWSTR inf, DWORD flags, PBOOL restart)
{
    static WCHAR name[64], runs[64], path[MAX_PATH];
    DWORD code = knob(flags & DIIRFLAG_FORCE_INF ? L"Force" : L"Install"), index;
    BOOL any = FALSE, done = FALSE;
    HDEVINFO set;

    if (!code && !stage(inf, name))
        code = GetLastError();
    if (code) {
        SetLastError(code);
        return FALSE;
    }
    set = devices();
    for (index = 0; next(set, index); index++) {
        current(set, runs);
        join(path, INF, runs);
        any = any || *runs;
        if (knob(L"Stubborn") && *runs)
            done = TRUE;
        else if (!*runs || flags & DIIRFLAG_FORCE_INF || rank(inf) > rank(path))
            done = put(set, name) || done;
    }
    SetupDiDestroyDeviceInfoList(set);
    if (restart)
        *restart = done && knob(L"Restart");
    SetLastError(done ? 0 : any ? ERROR_NO_MORE_ITEMS : ERROR_NO_SUCH_DEVINST);
    return done;
}

/* The best of the stored packages that the device takes; else no driver. */
static void put_another(HDEVINFO set, const WCHAR *gone)
{
    static WCHAR path[MAX_PATH], best[64];
    WIN32_FIND_DATAW found;
    ULONGLONG highest = 0;
    SC_HANDLE manager, service;
    HANDLE search = FindFirstFileW(STORE L"oem*.inf", &found);

    *best = 0;
    if (search != INVALID_HANDLE_VALUE) {
        do {
            join(path, INF, found.cFileName);
            if (!same(found.cFileName, gone) && rank(path) > highest) {
                highest = rank(path);
                lstrcpyW(best, found.cFileName);
            }
        } while (FindNextFileW(search, &found));
        FindClose(search);
    }
    if (*best && put(set, best))
        return;
    SetupDiSetDevicePropertyW(set, &device, &inf_path, DEVPROP_TYPE_EMPTY, NULL, 0, 0);
    manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT);
    service = OpenServiceW(manager, L"pvpanic", DELETE);
    DeleteService(service);
    CloseServiceHandle(service);
    CloseServiceHandle(manager);
    DeleteFileW(L"C:\\windows\\system32\\drivers\\pvpanic.sys");
}

static DWORD uninstall(const WCHAR *name, BOOL *restart)
{
    static WCHAR path[MAX_PATH], file[MAX_PATH], runs[64];
    static const WCHAR *const names[] = {L"\\pvpanic.inf", L"\\pvpanic.cat", L"\\pvpanic.sys"};
    DWORD code = knob(L"Uninstall"), index;
    HDEVINFO set;

    if (code)
        return code;
    set = devices();
    for (index = 0; next(set, index); index++) {
        current(set, runs);
        if (same(runs, name))
            put_another(set, name);
    }
    SetupDiDestroyDeviceInfoList(set);
    if (!SetupUninstallOEMInfW(name, SUOI_FORCEDELETE, NULL))
        return GetLastError();
    join(path, STORE, name);
    for (index = 0; index < 3; index++) {
        join(file, path, names[index]);
        DeleteFileW(file);
    }
    RemoveDirectoryW(path);
    RemoveDirectoryW(STORE);
    DeleteFileW(CATALOGUES L"pvpanic.cat");
    *restart = knob(L"Restart") != 0;
    return 0;
}

#ifdef PNPUTIL
/* pnputil.exe /delete-driver oemN.inf /uninstall, or /add-driver PATH. */
void start(void)
{
    static WCHAR argument[MAX_PATH];
    WCHAR *line = GetCommandLineW();
    BOOL restart = FALSE, add;
    DWORD code = 0;
    int at = 0, length;

    while (line[at] != '/')
        at++;
    add = line[at + 1] == 'a';
    while (line[at] != ' ')
        at++;
    at++;
    for (length = 0; line[at + length] && line[at + length] != ' '; length++)
        argument[length] = line[at + length];
    if (!add)
        code = uninstall(argument, &restart);
    else if (!DiInstallDriverW(NULL, argument, 0, &restart))
        code = GetLastError();
    ExitProcess(code ? code : restart ? ERROR_SUCCESS_REBOOT_REQUIRED : 0);
}
#elif !defined(SERVER2016)
BOOL WINAPI DiUninstallDriverW(HWND window, LPCWSTR inf, DWORD flags, PBOOL restart)
{
    BOOL wanted = FALSE;
    DWORD code = uninstall(inf + lstrlenW(INF), &wanted);

    if (restart)
        *restart = wanted;
    SetLastError(code);
    return !code;
}
#endif
