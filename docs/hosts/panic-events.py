#!/usr/bin/env python3
"""Prints what libvirt says of crashed guests, one JSON object a line.

usage: panic-events.py [URI]    (qemu:///system)

It ends, with status 1, when the connection to libvirt does.
"""

import json
import sys
import time

import libvirt

EVENTS = {
    # The device: the driver wrote PANICKED, or CRASH_LOADED.
    (libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_PANICKED): "panicked",
    (libvirt.VIR_DOMAIN_EVENT_CRASHED, libvirt.VIR_DOMAIN_EVENT_CRASHED_CRASHLOADED): "crash loaded",
    # on_crash, after PANICKED: the domain was ended.
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED): "stopped by on_crash",
    # No word of the guest's: QEMU itself is gone.
    (libvirt.VIR_DOMAIN_EVENT_STOPPED, libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED): "QEMU died",
}


def lifecycle(_connection, domain, event, detail, _opaque):
    if what := EVENTS.get((event, detail)):
        line = {"time": time.time(), "domain": domain.name(), "event": what}
        print(json.dumps(line), flush=True)


def main():
    libvirt.virEventRegisterDefaultImpl()
    uri = sys.argv[1] if len(sys.argv) > 1 else "qemu:///system"
    connection = libvirt.openReadOnly(uri)
    connection.setKeepAlive(5, 3)
    connection.domainEventRegisterAny(
        None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, None
    )
    while connection.isAlive():
        libvirt.virEventRunDefaultImpl()
    sys.exit("the connection to libvirt was closed")


if __name__ == "__main__":
    main()
