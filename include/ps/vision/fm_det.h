// FM-Det: pictures for a detector, made of what Debian packages hold, in any number and size.
// Garments of Fashion-MNIST, coloured and scaled, lie on crops of photographs; every pixel and box
// follows from (seed, split, index) alone, in integers, so that all members of a job see the same
// set without a file to copy. Garments and photographs of the training split occur in no other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <ps/vision/dataset.h>

namespace ps::vision {

struct FmDetOptions {
  std::size_t count = 8000;  // pictures to train with
  std::size_t val = 400;     // pictures to validate with, and as many others to test with
  int size = 128;            // pixels a side, 32 to 2048
  int classes = 5;           // 5: upper-body trouser dress shoe bag; 10: Fashion-MNIST's own
  std::uint64_t seed = 0;
  std::string share = "/usr/share";  // where the packages' data lie
};

// Whether open_dataset() takes `data` for this set: "fm-det" or "fm-det:...".
bool is_fm_det(const std::string& data) noexcept;

// The options in "fm-det:count=8000,val=400,size=128,classes=5,seed=0"; each may be left out.
// Throws Error{kInvalidArgument} for another key or a value out of range.
FmDetOptions parse_fm_det(const std::string& data);

// Pictures are generated in load(); nothing but what they are made of is kept (47 MB of garments, a
// few MB a photograph, decoded when it is first needed).
// Throws Error: kInvalidArgument for an option out of range; kUnavailable, naming the packages to
// install, when their data are not there; kCorrupt or kIo, naming the file, when they are damaged.
std::unique_ptr<Dataset> open_fm_det(const FmDetOptions& options, Split split);

// The same set as files that other trainers read: `folder`/data.yaml, images/{train,val}/*.png and
// labels/{train,val}/*.txt, made on all cores. What is there is overwritten; data.yaml comes last.
// progress(done, total) is called from this thread now and then and at the end; it may be empty.
// Throws as open_fm_det, and Error{kIo} naming what could not be written.
void make_fm_det(const std::string& folder,
                 const FmDetOptions& options,
                 const std::function<void(std::size_t done, std::size_t total)>& progress = {});

}  // namespace ps::vision
