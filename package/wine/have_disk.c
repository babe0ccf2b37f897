/*
 * Installs a driver package the way "Have Disk" of Device Manager does: for
 * one device, from one folder, with the functions of setupapi.
 *
 *   have_disk.exe HARDWARE-ID FOLDER
 *
 * Runs under Wine, as a test of the INF. It has no C library: its own entry
 * point, and three import libraries that the test makes.
 */
#define UNICODE
#include <windows.h>
#include <setupapi.h>

static const GUID system_class = {0x4d36e97d, 0xe325, 0x11ce,
    {0xbf, 0xc1, 0x08, 0x00, 0x2b, 0xe1, 0x03, 0x18}};

static SP_DEVINFO_DATA device = {sizeof(device)};
static SP_DEVINSTALL_PARAMS_W parameters = {sizeof(parameters)};
static SP_DRVINFO_DATA_W driver = {sizeof(driver)};
static union {
    SP_DRVINFO_DETAIL_DATA_W data;
    BYTE room[2048];
} detail;

static void print(const WCHAR *text)
{
    char utf8[1024];
    DWORD written;
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, utf8, sizeof(utf8), NULL, NULL);

    if (length > 1)
        WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), utf8, length - 1, &written, NULL);
}

static void line(const WCHAR *name, const WCHAR *value)
{
    print(name);
    print(L"=");
    print(value);
    print(L"\n");
}

static void check(BOOL succeeded, const WCHAR *what)
{
    WCHAR code[] = L"0x00000000";
    DWORD error = GetLastError();
    int digit;

    if (succeeded)
        return;
    for (digit = 9; digit > 1; digit--, error >>= 4)
        code[digit] = L"0123456789abcdef"[error & 15];
    line(what, code);
    ExitProcess(1);
}

/* Takes the next word off the command line; a word may be in quotes. */
static WCHAR *word(WCHAR **rest)
{
    WCHAR *start, end = L' ';

    while (**rest == L' ')
        ++*rest;
    if (**rest == L'"') {
        end = L'"';
        ++*rest;
    }
    start = *rest;
    while (**rest && **rest != end)
        ++*rest;
    if (**rest)
        *(*rest)++ = 0;
    return start;
}

void start(void)
{
    WCHAR *rest = GetCommandLineW();
    static WCHAR ids[256];
    WCHAR *hardware_id, *folder;
    HDEVINFO set;
    int length;

    word(&rest);
    hardware_id = word(&rest);
    folder = word(&rest);
    length = lstrlenW(hardware_id);
    check(length && length < 254 && *folder && lstrlenW(folder) < MAX_PATH, L"usage");
    lstrcpyW(ids, hardware_id);

    set = SetupDiCreateDeviceInfoList(&system_class, NULL);
    check(set != INVALID_HANDLE_VALUE, L"SetupDiCreateDeviceInfoList");
    check(SetupDiCreateDeviceInfoW(set, L"PVPANIC", &system_class, NULL, NULL,
        DICD_GENERATE_ID, &device), L"SetupDiCreateDeviceInfo");
    check(SetupDiSetDeviceRegistryPropertyW(set, &device, SPDRP_HARDWAREID,
        (BYTE *)ids, (length + 2) * sizeof(WCHAR)), L"SetupDiSetDeviceRegistryProperty");

    check(SetupDiGetDeviceInstallParamsW(set, &device, &parameters),
        L"SetupDiGetDeviceInstallParams");
    lstrcpyW(parameters.DriverPath, folder);
    check(SetupDiSetDeviceInstallParamsW(set, &device, &parameters),
        L"SetupDiSetDeviceInstallParams");
    check(SetupDiBuildDriverInfoList(set, &device, SPDIT_COMPATDRIVER),
        L"SetupDiBuildDriverInfoList");
    check(SetupDiSelectBestCompatDrv(set, &device), L"SetupDiSelectBestCompatDrv");
    check(SetupDiGetSelectedDriverW(set, &device, &driver), L"SetupDiGetSelectedDriver");
    detail.data.cbSize = sizeof(detail.data);
    check(SetupDiGetDriverInfoDetailW(set, &device, &driver, &detail.data, sizeof(detail),
        NULL), L"SetupDiGetDriverInfoDetail");
    line(L"description", driver.Description);
    line(L"provider", driver.ProviderName);
    line(L"section", detail.data.SectionName);
    line(L"inf", detail.data.InfFileName);

    check(SetupDiRegisterDeviceInfo(set, &device, 0, NULL, NULL, NULL),
        L"SetupDiRegisterDeviceInfo");
    check(SetupDiInstallDevice(set, &device), L"SetupDiInstallDevice");
    line(L"installed", hardware_id);
    ExitProcess(0);
}
