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
