"""The published simulators, run as they are on the same frames, each in a process of its own.

v2e (github.com/SensorsINI/v2e, MIT) and ESIM (github.com/uzh-rpg/rpg_vid2e, GPL) are no part of this repository: checkouts
are named on the command line, and nothing is written into them.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from evinr.events import Events

V2E = """
import json, sys, types

for name in ("cv2", "h5py", "screeninfo", "v2ecore.v2e_utils", "v2ecore.output.ae_text_output",
             "v2ecore.output.aedat2_output", "v2ecore.output.aedat4_output"):
    stub = types.ModuleType(name)  # windows and files, of which nothing is wanted
    for word in ("get_monitors", "checkAddSuffix", "v2e_quit", "video_writer", "DVSTextOutput", "AEDat2Output", "AEDat4Output"):
        setattr(stub, word, list)
    sys.modules[name] = stub
checkout, work = sys.argv[1:]
sys.path.insert(0, checkout)
import logging
import numpy as np
from v2ecore.emulator import EventEmulator

logging.disable(logging.CRITICAL)
asked = np.load(work + "/frames.npz")
emulator = EventEmulator(device="cpu", seed=1, **json.loads(str(asked["options"])))
parts = [np.zeros((0, 4))]
for frame, time in zip(asked["frames"], asked["times"]):
    fired = emulator.generate_events(frame, float(time))
    if fired is not None:
        parts.append(np.array(fired, np.float64))
np.save(work + "/events.npy", np.concatenate(parts))
"""
ESIM_HEADER = """
#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#define CV_32F 5
#define CV_64F 6
namespace boost { namespace filesystem = std::filesystem; }
namespace Eigen {
struct MatrixXd {
  std::vector<double> v; int n;
  MatrixXd(int rows, int) : v(4 * rows), n(rows) {}
  double& operator()(int row, int column) { return v[4 * row + column]; }
};
}
namespace cv {
// Copies share their numbers, as those of OpenCV do.
struct Mat {
  std::shared_ptr<std::vector<double>> wide; std::shared_ptr<std::vector<float>> narrow; int size[2] = {0, 0};
  static Mat zeros(int h, int w, int) {
    Mat m; m.size[0] = h; m.size[1] = w;
    m.wide = std::make_shared<std::vector<double>>(h * w); m.narrow = std::make_shared<std::vector<float>>(h * w);
    return m;
  }
  template <typename T> T& at(int y, int x) {
    if constexpr (sizeof(T) == 8) return (*wide)[y * size[1] + x]; else return (*narrow)[y * size[1] + x];
  }
  bool empty() const { return !narrow; }
  void convertTo(Mat&, int, double) const {}
};
inline Mat operator+(const Mat& m, float) { return m; }
inline void log(const Mat& m, Mat& out) { out = m; }
enum { IMREAD_GRAYSCALE };
Mat imread(const std::string&, int);
struct VideoCapture { VideoCapture(std::string) {} bool isOpened() { return false; } bool read(Mat&) { return false; } };
}
"""
"""What esim.cpp takes of OpenCV, Eigen and Boost: its pictures are handed to it as numbers, in log intensity already."""
ESIM_MAIN = """
#include <esim.h>
#include <cstdio>
static std::vector<cv::Mat> frames;
cv::Mat cv::imread(const std::string& name, int) { return frames[std::stoi(name)]; }
int main(int, char** word) {
  int n = atoi(word[2]), h = atoi(word[3]), w = atoi(word[4]);
  std::FILE* file = std::fopen(word[1], "rb");
  std::vector<std::string> names; std::vector<double> times(n);
  if (std::fread(times.data(), 8, n, file) != size_t(n)) return 1;
  for (int i = 0; i < n; ++i) {
    frames.push_back(cv::Mat::zeros(h, w, CV_32F)); names.push_back(std::to_string(i));
    if (std::fread(frames[i].narrow->data(), 4, h * w, file) != size_t(h * w)) return 1;
  }
  EventSimulator simulator(atof(word[5]), atof(word[6]), atof(word[7]), 0, false);
  auto events = simulator.generateFromStampedImageSequence(names, times);
  std::fwrite(events.v.data(), 8, events.v.size(), stdout);
}
"""


def v2e(
    checkout: Path, python: Path, frames: Float[np.ndarray, "n h w"], times: Float[np.ndarray, " n"], **options: Any
) -> Events:
    """What v2e's emulator fires; frames from 0 to 255, or log intensity where `hdr` is among its options."""
    with tempfile.TemporaryDirectory() as work:
        np.savez(f"{work}/frames.npz", frames=frames, times=times, options=json.dumps(options))
        subprocess.run([str(python), "-B", "-c", V2E, str(checkout), work], check=True)
        rows = np.load(f"{work}/events.npy")
    return _events(rows[:, 1], rows[:, 2], rows[:, 0], rows[:, 3], frames.shape)


def esim(
    checkout: Path,
    light: Float[np.ndarray, "n h w"],
    times: Float[np.ndarray, " n"],
    thresholds: tuple[float, float],
    refractory: float = 0.0,
) -> Events:
    """What ESIM's code, compiled here, fires on frames of log intensity."""
    with tempfile.TemporaryDirectory() as work:
        for header in ("Eigen/Core", "boost/filesystem.hpp", "shim.h", *(f"opencv2/{n}" for n in _OPENCV)):
            path = Path(work) / header
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ESIM_HEADER if header == "shim.h" else '#include "shim.h"\n')
        (Path(work) / "main.cpp").write_text(ESIM_MAIN)
        (Path(work) / "frames").write_bytes(times.astype("<f8").tobytes() + light.astype("<f4").tobytes())
        places = [f"-I{work}", f"-I{checkout}/esim_py/include"]
        sources = [f"{work}/main.cpp", f"{checkout}/esim_py/src/esim.cpp"]
        subprocess.run(["g++", "-std=c++17", "-O2", *places, *sources, "-o", f"{work}/esim"], check=True)
        words = [*light.shape, *thresholds, refractory]
        done = subprocess.run([f"{work}/esim", f"{work}/frames", *map(str, words)], check=True, stdout=subprocess.PIPE)
    rows = np.frombuffer(done.stdout).reshape(-1, 4)
    x, y, t, p = rows.T
    return _events(x, y, t, p, light.shape)


_OPENCV = ("core/core.hpp", "core/eigen.hpp", "highgui/highgui.hpp", "imgproc/imgproc.hpp")


def _events(x: np.ndarray, y: np.ndarray, t: np.ndarray, p: np.ndarray, shape: tuple[int, ...]) -> Events:
    order = np.argsort(t, kind="stable")
    x, y, p = x[order].astype(np.uint16), y[order].astype(np.uint16), p[order].astype(np.int8)
    return Events(t[order].astype(np.float64), x, y, p, shape[1], shape[2])
