/*
 * KMDF, as much of it as small drivers need: handles, structures and the calls
 * through the framework's function table. Names, values and layouts are those
 * of Microsoft's reference (header names as there: wdfdevice.h and so on);
 * every structure's layout on x64 and ARM64 is asserted where it is defined.
 *
 * The directory this file is copied into belongs to one KMDF version. Its
 * wdfversion.h is generated and holds what differs between versions: the
 * version number and the function table's order and length.
 */
#pragma once

#include "wdfversion.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WDFAPI

#include "wdftypes.h"
#include "wdffunctions.h"
#include "wdfobject.h"
#include "wdfdriver.h"
#include "wdfmemory.h"
#include "wdfresource.h"
#include "wdfregistry.h"
#include "wdfrequest.h"
#include "wdfiotarget.h"
#include "wdfdevice.h"
#include "wdfsync.h"
#include "wdftimer.h"
#include "wdfio.h"

#ifdef __cplusplus
}
#endif
