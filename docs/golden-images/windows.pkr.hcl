# A Windows Server 2022 image with the pvpanic driver, by Packer's qemu builder.
#
#   packer init windows.pkr.hcl
#   xorriso -osirrox on -indev pvpanic-VERSION.iso -extract /pvpanic pvpanic
#   packer build -var windows_iso=SERVER.iso windows.pkr.hcl
#
# The package comes by both ways that there are: Setup takes it from the CD with
# the answer file (offline), and a provisioner installs it with pnputil
# (online), which changes nothing then. Keep the one that suits.

packer {
  required_plugins {
    qemu = {
      source  = "github.com/hashicorp/qemu"
      version = ">= 1.1.0"
    }
  }
}

variable "windows_iso" {
  type        = string
  description = "Path of the Windows Server 2022 installation medium."
}

variable "windows_iso_checksum" {
  type        = string
  default     = "none"
  description = "Checksum of the medium, such as sha256:..., or none."
}

variable "package" {
  type        = string
  default     = "pvpanic"
  description = "The folder pvpanic of pvpanic-VERSION.iso, under that name."
}

variable "status_script" {
  type        = string
  default     = "../../installer/Get-PvPanicStatus.ps1"
  description = "The script that tells what the driver has armed."
}

variable "password" {
  type        = string
  default     = "Change-Me-1"
  sensitive   = true
  description = "The administrator's password in autounattend.xml."
}

source "qemu" "windows" {
  iso_url      = var.windows_iso
  iso_checksum = var.windows_iso_checksum

  # The answer file at the top of a second CD, where Setup looks for it, and
  # beside it the folder pvpanic that it names.
  cd_label = "PVPANIC"
  cd_files = ["autounattend.xml", var.package]

  machine_type   = "pc"
  accelerator    = "kvm"
  cpus           = 2
  memory         = 4096
  disk_size      = "40G"
  disk_interface = "ide"
  net_device     = "e1000"
  format         = "qcow2"

  # The device itself, so that the driver starts while the image is made.
  qemuargs = [["-device", "pvpanic"]]

  communicator     = "winrm"
  winrm_username   = "Administrator"
  winrm_password   = var.password
  winrm_timeout    = "2h"
  shutdown_command = "shutdown /s /t 10 /f"
}

build {
  sources = ["source.qemu.windows"]

  provisioner "file" {
    source      = "${var.package}/2k22/amd64/"
    destination = "C:\\Windows\\Temp\\pvpanic"
  }

  provisioner "powershell" {
    inline = [
      "pnputil /add-driver C:\\Windows\\Temp\\pvpanic\\pvpanic.inf /install",
      "if ($LASTEXITCODE -notin 0, 259, 3010) { exit $LASTEXITCODE }",
    ]
  }

  provisioner "powershell" {
    script = var.status_script
  }
}
