"""What is read from the files of a Jetson of today, one of yesterday, a desktop, a Raspberry Pi, and a bare machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compiler.runtime.sensors import hwmon, thermal
from compiler.runtime.sensors.clocks import clocks, governor
from compiler.runtime.sensors.power_mode import power_mode
from compiler.runtime.sensors.rapl import Rapl
from compiler.runtime.sensors.reading import Sensors
from compiler.runtime.sensors.throttling import Throttling
from compiler.runtime.sensors.total import total_watts
from tests.runtime.sensors.trees import DESKTOP, ORIN_NANO, TX2, plant


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    return plant(tmp_path, ORIN_NANO)


@pytest.fixture
def tx2(tmp_path: Path) -> Path:
    return plant(tmp_path, TX2)


@pytest.fixture
def desktop(tmp_path: Path) -> Path:
    return plant(tmp_path, DESKTOP)


def test_a_jetson_of_today(orin: Path) -> None:
    readings = Sensors(orin).read()
    assert readings["celsius"] == {
        "cpu-thermal": 48.312,
        "gpu-thermal": 46.843,
        "tj-thermal": 48.312,
        "soc0-thermal": 47.0,
    }
    # Voltage times current; a channel that is switched off and the sum of the shunts are no rails.
    assert readings["watts"] == {
        "VDD_IN": pytest.approx(5.064 * 0.936),
        "VDD_CPU_GPU_CV": pytest.approx(5.056 * 0.120),
    }
    assert total_watts(readings["watts"]) == pytest.approx(5.064 * 0.936)
    assert readings["clock_mhz"] == {"cpu0": 1510.4, "cpu5": 729.6, "gpu": 306.0}
    assert readings["throttled"] is False, "a fan that turns slows nothing down"
    assert (power_mode(orin), governor(orin)) == ("7W", "schedutil")


def test_a_jetson_of_yesterday(tx2: Path) -> None:
    readings = Sensors(tx2).read()
    assert readings["celsius"] == {"BCPU-therm": 37.5, "GPU-therm": 36.0}
    assert readings["watts"] == {"VDD_SYS_GPU": 0.152, "VDD_IN": 2.285, "VDD_SYS_CPU": 0.228}
    assert total_watts(readings["watts"]) == 2.285
    assert readings["clock_mhz"] == {"cpu0": 345.6, "gpu": 114.75}
    assert readings["throttled"] is None
    assert power_mode(tx2) == "3", "a mode without a name has its number"


def test_a_desktop(desktop: Path) -> None:
    sensors = Sensors(desktop)
    readings = sensors.read()
    assert readings["celsius"] == {"coretemp Package id 0": 41.0, "coretemp Core 0": 39.0}
    assert readings["watts"] == {"PPT": 23.0, "package-0": 0.0, "package-0 dram": 0.0}
    assert readings["clock_mhz"] == {"cpu0": 3400.0}
    assert readings["throttled"] is False
    plant(desktop, {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": 9})
    assert sensors.read()["throttled"] is True
    assert sensors.read()["throttled"] is False, "what is over is over"


def test_a_bare_machine_says_nothing(tmp_path: Path) -> None:
    readings = Sensors(tmp_path).read()
    assert readings.pop("time") > 0
    assert readings == {"celsius": {}, "watts": {}, "clock_mhz": {}, "throttled": None}
    assert (power_mode(tmp_path), governor(tmp_path)) == (None, None)


def test_energy_becomes_power_and_the_counter_may_begin_anew(desktop: Path) -> None:
    now = [10.0]
    rapl = Rapl(desktop, clock=lambda: now[0])
    now[0] = 12.0
    package = "sys/class/powercap/intel-rapl:0/energy_uj"
    dram = "sys/class/powercap/intel-rapl:0:0/energy_uj"
    plant(desktop, {package: 1_000_000 + 30_000_000, dram: 500_000 + 4_000_000})
    assert rapl.power() == {"package-0": 15.0, "package-0 dram": 2.0}
    assert total_watts({"package-0": 15.0, "package-0 dram": 2.0, "package-0 core": 9.0}) == 17.0
    now[0] = 13.0
    plant(desktop, {package: 262_143_328_850 - 1_000_000, dram: 5_000_000})
    rapl.power()
    now[0] = 14.0
    plant(desktop, {package: 4_000_000})
    assert rapl.power()["package-0"] == pytest.approx(5.0)
    assert rapl.power() == {}, "no time has passed"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read what others may not")
def test_a_counter_that_only_root_may_read_is_left_out(desktop: Path) -> None:
    for zone in ("intel-rapl:0", "intel-rapl:0:0"):
        (desktop / "sys/class/powercap" / zone / "energy_uj").chmod(0)
    rapl = Rapl(desktop)
    assert not rapl.present and rapl.power() == {}


def test_a_chip_that_measures_power_itself(tmp_path: Path) -> None:
    chip = "sys/class/hwmon/hwmon0/"
    plant(tmp_path, {f"{chip}name": "ina226", f"{chip}power1_input": 3_250_000, f"{chip}in1_input": 5000})
    plant(tmp_path, {f"{chip}curr1_input": 650})
    plant(tmp_path, {"sys/class/hwmon/hwmon1/name": "ina226", "sys/class/hwmon/hwmon1/power1_input": 1_000_000})
    assert hwmon.power(tmp_path) == {"ina226": 3.25, "ina226-2": 1.0}
    plant(tmp_path, {f"{chip}label": "VIN"})
    assert hwmon.power(tmp_path) == {"VIN": 3.25, "ina226": 1.0}


def test_temperatures_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    zones = {"a": -274000, "b": 125000, "c": 900000, "d": "nonsense", "e": 40000}
    for number, (kind, value) in enumerate(zones.items()):
        folder = f"sys/class/thermal/thermal_zone{number}/"
        plant(tmp_path, {f"{folder}type": kind, f"{folder}temp": value})
    assert thermal.temperatures(tmp_path) == {"b": 125.0, "e": 40.0}


@pytest.mark.parametrize(
    ("files", "throttled"),
    [
        ({"sys/class/thermal/cooling_device3/type": "thermal-cpufreq-0", "cur": 3}, True),
        ({"sys/class/thermal/cooling_device3/type": "Processor", "cur": 0}, False),
        ({"sys/class/thermal/cooling_device3/type": "pwm-fan", "cur": 3}, None),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "50005"}, True),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "50000"}, False),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "what"}, None),
    ],
)
def test_who_says_that_something_slows_down(tmp_path: Path, files: dict[str, object], throttled: bool | None) -> None:
    if "cur" in files:
        files = {**files, "sys/class/thermal/cooling_device3/cur_state": files["cur"]}
        files.pop("cur")
    plant(tmp_path, files)
    assert Throttling(tmp_path).throttled() is throttled


def test_over_current_events_of_a_jetson_are_throttling(orin: Path) -> None:
    throttling = Throttling(orin)
    assert throttling.throttled() is False
    plant(orin, {"sys/class/hwmon/hwmon2/oc3_event_cnt": 5})
    assert throttling.throttled() is True


def test_clocks_of_cpus_are_in_their_order(tmp_path: Path) -> None:
    for number in (0, 1, 2, 10):
        plant(tmp_path, {f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq": 1000 * (number + 1)})
    assert list(clocks(tmp_path)) == ["cpu0", "cpu1", "cpu2", "cpu10"]


def test_the_whole_boards_power() -> None:
    assert total_watts({}) is None
    assert total_watts({"VDD_GPU_SOC": 3.0, "VDD_CPU_CV": 1.0, "VIN_SYS_5V0": 4.0}) == 8.0
    assert total_watts({"package-0": 10.0, "gpu0": 50.0}) == 60.0
