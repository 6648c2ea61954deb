"""Trees of files as the kernels of real boards lay them out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def plant(root: Path, files: Mapping[str, object]) -> Path:
    """Write `files`, texts by path, below `root`, with the newline that the kernel ends them with."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def _zone(number: int, kind: str, temperature: object) -> dict[str, object]:
    return {
        f"sys/class/thermal/thermal_zone{number}/type": kind,
        f"sys/class/thermal/thermal_zone{number}/temp": temperature,
    }


ORIN_NANO: dict[str, object] = {
    # JetPack 6: the INA3221 under hwmon, zones in lower case, nvpmodel's files.
    **_zone(0, "cpu-thermal", 48312),
    **_zone(1, "gpu-thermal", 46843),
    **_zone(2, "cv0-thermal", ""),  # powered off: the real file answers EAGAIN
    **_zone(3, "tj-thermal", 48312),
    **_zone(10, "soc0-thermal", 47000),
    "sys/class/hwmon/hwmon1/name": "ina3221",
    "sys/class/hwmon/hwmon1/in1_label": "VDD_IN",
    "sys/class/hwmon/hwmon1/in1_input": 5064,
    "sys/class/hwmon/hwmon1/in1_enable": 1,
    "sys/class/hwmon/hwmon1/curr1_input": 936,
    "sys/class/hwmon/hwmon1/in2_label": "VDD_CPU_GPU_CV",
    "sys/class/hwmon/hwmon1/in2_input": 5056,
    "sys/class/hwmon/hwmon1/curr2_input": 120,
    "sys/class/hwmon/hwmon1/in3_label": "VDD_SOC",
    "sys/class/hwmon/hwmon1/in3_input": 5056,
    "sys/class/hwmon/hwmon1/in3_enable": 0,
    "sys/class/hwmon/hwmon1/curr3_input": 288,
    "sys/class/hwmon/hwmon1/in7_label": "sum of shunt voltages",
    "sys/class/hwmon/hwmon1/in7_input": 12,
    "sys/class/hwmon/hwmon0/name": "pwmfan",
    "sys/class/hwmon/hwmon2/name": "soctherm_oc",
    "sys/class/hwmon/hwmon2/oc1_event_cnt": 0,
    "sys/class/hwmon/hwmon2/oc3_event_cnt": 4,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1510400,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "sys/devices/system/cpu/cpu5/cpufreq/scaling_cur_freq": 729600,
    "sys/class/devfreq/17000000.gpu/cur_freq": 306000000,
    "sys/class/devfreq/15340000.vic/cur_freq": 115200000,
    "sys/class/thermal/cooling_device0/type": "pwm-fan",
    "sys/class/thermal/cooling_device0/cur_state": 2,
    "sys/class/thermal/cooling_device1/type": "cpufreq-cpu0",
    "sys/class/thermal/cooling_device1/cur_state": 0,
    "var/lib/nvpmodel/status": "pmode:0001 fmode:quiet",
    "etc/nvpmodel.conf": "< POWER_MODEL ID=0 NAME=15W >\nCPU_ONLINE CORE_0 1\n< POWER_MODEL ID=1 NAME=7W >\n",
    "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
}

TX2: dict[str, object] = {
    # JetPack 4: NVIDIA's driver ina3221x under IIO, zones in capitals, one that is always at 100 degrees.
    **_zone(0, "BCPU-therm", 37500),
    **_zone(1, "GPU-therm", 36000),
    **_zone(4, "PMIC-Die", 100000),
    "sys/bus/i2c/devices/0-0040/iio:device0/rail_name_0": "VDD_SYS_GPU",
    "sys/bus/i2c/devices/0-0040/iio:device0/in_power0_input": 152,
    "sys/bus/i2c/devices/0-0040/iio:device0/in_voltage0_input": 19048,
    "sys/bus/i2c/devices/0-0040/iio:device0/in_current0_input": 8,
    "sys/bus/i2c/devices/0-0041/iio:device1/rail_name_0": "VDD_IN",
    "sys/bus/i2c/devices/0-0041/iio:device1/in_power0_input": 2285,
    "sys/bus/i2c/devices/0-0041/iio:device1/rail_name_1": "VDD_SYS_CPU",
    "sys/bus/i2c/devices/0-0041/iio:device1/in_power1_input": 228,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 345600,
    "sys/class/devfreq/17000000.gp10b/cur_freq": 114750000,
    "var/lib/nvpmodel/status": "pmode:0003",
    "etc/nvpmodel.conf": "",
}

DESKTOP: dict[str, object] = {
    # x86: no thermal zone of use, coretemp, RAPL with parts and its MMIO twin, throttling counted.
    "sys/class/hwmon/hwmon0/name": "coretemp",
    "sys/class/hwmon/hwmon0/temp1_input": 41000,
    "sys/class/hwmon/hwmon0/temp1_label": "Package id 0",
    "sys/class/hwmon/hwmon0/temp2_input": 39000,
    "sys/class/hwmon/hwmon0/temp2_label": "Core 0",
    "sys/class/hwmon/hwmon3/name": "amdgpu",
    "sys/class/hwmon/hwmon3/power1_average": 23000000,
    "sys/class/hwmon/hwmon3/power1_label": "PPT",
    "sys/class/powercap/intel-rapl:0/name": "package-0",
    "sys/class/powercap/intel-rapl:0/energy_uj": 1_000_000,
    "sys/class/powercap/intel-rapl:0/max_energy_range_uj": 262_143_328_850,
    "sys/class/powercap/intel-rapl:0:0/name": "dram",
    "sys/class/powercap/intel-rapl:0:0/energy_uj": 500_000,
    "sys/class/powercap/intel-rapl:0:0/max_energy_range_uj": 65_712_999_613,
    "sys/class/powercap/intel-rapl-mmio:0/name": "package-0",
    "sys/class/powercap/intel-rapl-mmio:0/energy_uj": 1_000_000,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 3400000,
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "powersave",
    "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": 7,
    "sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": 3400000,
}


def _ina3221(number: int, *rails: str) -> dict[str, object]:
    """The mainline driver under hwmon: volts in mV, currents in mA; each channel takes `number` + 1 times 5 W."""
    chip = f"sys/class/hwmon/hwmon{number}"
    found: dict[str, object] = {f"{chip}/name": "ina3221", f"{chip}/in7_label": "sum of shunt voltages"}
    for channel, rail in enumerate(rails, 1):
        found |= {
            f"{chip}/in{channel}_label": rail,
            f"{chip}/in{channel}_enable": 0 if rail == "NC" else 1,
            f"{chip}/in{channel}_input": 5000,
            f"{chip}/curr{channel}_input": 1000 * (number + 1),
        }
    return found


def _ina3221x(address: str, number: int, *rails: str) -> dict[str, object]:
    """NVIDIA's driver of JetPack 4 under IIO: power in mW; each channel takes 2 W."""
    folder = f"sys/bus/i2c/devices/{address}/iio:device{number}"
    found: dict[str, object] = {f"{folder}/name": "ina3221x"}
    for channel, rail in enumerate(rails):
        found |= {f"{folder}/rail_name_{channel}": rail, f"{folder}/in_power{channel}_input": 2000}
    return found


TX1: dict[str, object] = {
    **_ina3221x("1-0040", 0, "VDD_IN", "VDD_GPU", "VDD_CPU"),
    **_ina3221x("1-0042", 1, "VDD_MUX", "VDD_5V_IO_SYS", "VDD_3V3_SYS"),
    **_ina3221x("1-0043", 2, "VDD_3V3_IO", "VDD_1V8_IO", "VDD_M2_IN"),
}
NANO: dict[str, object] = _ina3221x("6-0040", 0, "POM_5V_IN", "POM_5V_GPU", "POM_5V_CPU")
AGX_XAVIER: dict[str, object] = {
    # No rail feeds all of it.
    **_ina3221x("1-0040", 0, "GPU", "CPU", "SOC"),
    **_ina3221x("1-0041", 1, "CV", "VDDRQ", "SYS5V"),
}
AGX_ORIN: dict[str, object] = {
    **_ina3221(0, "VDD_GPU_SOC", "VDD_CPU_CV", "VIN_SYS_5V0"),
    **_ina3221(1, "NC", "VDDQ_VDD2_1V8AO", "NC"),
}
THOR: dict[str, object] = {
    # JetPack 7: an INA238 measures what goes in, and computes the power itself.
    "sys/class/hwmon/hwmon4/name": "ina238",
    "sys/class/hwmon/hwmon4/label": "VIN",
    "sys/class/hwmon/hwmon4/in1_input": 20000,
    "sys/class/hwmon/hwmon4/curr1_input": 2100,
    "sys/class/hwmon/hwmon4/power1_input": 42_000_000,
    **_ina3221(5, "VDD_GPU", "VDD_CPU_SOC_MSS", "VIN_SYS_5V0"),
}
SERVER: dict[str, object] = {
    # Two packages, memory beside them, and parts within; the counters are for root alone, which tests see to.
    **{
        f"sys/class/powercap/intel-rapl:{zone}/{file}": value
        for zone, name in {"0": "package-0", "0:0": "dram", "0:1": "core", "1": "package-1", "2": "psys"}.items()
        for file, value in {"name": name, "energy_uj": 5_000_000, "max_energy_range_uj": 262_143_328_850}.items()
    },
}
