// YOLO folders and darknet's lists, in order and with everything wrong that the scan looks for.
#include <string>
#include <vector>

#include <ps/vision/dataset.h>

#include "support/catch.h"
#include "vision/dataset_support.h"
#include "vision/label_file.h"

namespace ps::vision {
namespace {

using testing::error_of;
using testing::Folder;
using testing::has_fault;

constexpr const char* kYaml = "path: .\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n";

// Two good pictures, a background, and a fault of each kind; "val" has one picture.
void plant(const Folder& folder) {
  folder.write("data.yaml", kYaml);
  const auto add = [&](const std::string& name, const std::string& rows) {
    folder.picture("images/train/" + name + ".png", 20, 16, 50);
    folder.write("labels/train/" + name + ".txt", rows);
  };
  add("a", "0 0.5 0.5 0.25 0.5\n1 0.25 0.25 0.125 0.125\n");
  add("b", "1 0.1 0.1 0.5 0.1 0.5 0.4 0.1 0.4\r\n\n");
  folder.picture("images/train/background.jpg", 20, 16, 60);
  add("class", "2 0.5 0.5 0.25 0.5\n");
  add("columns", "0 0.5 0.5 0.25\n");
  add("empty_box", "0 0.5 0.5 0.25 0\n");
  add("outside", "0 0.5 1.5 0.25 0.5\n");
  add("negative", "0 0.5 0.5 -0.25 0.5\n");
  add("repeated", "0 0.5 0.5 0.25 0.5\n0 0.5 0.5 0.25 0.5\n");
  add("text", "cat 0.5 0.5 0.25 0.5\n");
  folder.picture("images/train/small.png", 9, 16, 70);
  folder.picture("images/train/truncated.jpg", 200, 160, 80);
  folder.cut("images/train/truncated.jpg", 700);
  folder.write("images/train/no_picture.jpg", "not a picture");
  folder.write("labels/train/lost.txt", "0 0.5 0.5 0.25 0.5\n");
  folder.picture("images/val/v.png", 12, 12, 90);
}

TEST_CASE("yolo: what is right is read and what is wrong is left out and named", "[vision]") {
  const Folder folder;
  plant(folder);
  Scan scan;
  const auto data = open_dataset(folder.path("data.yaml"), Split::kTrain, {}, &scan);
  CHECK(scan.images == 3);
  CHECK(scan.backgrounds == 1);
  CHECK(scan.corrupt == 9);
  CHECK(scan_line(scan) ==
        "Scanning " + folder.path("images/train") + "... 3 images, 1 backgrounds, 9 corrupt");
  const std::string labels = folder.path("labels/train/");
  CHECK(has_fault(scan, labels + "class.txt:1", "class 2; expected 0 to 1"));
  CHECK(has_fault(scan, labels + "columns.txt:1", "got 4 columns"));
  CHECK(has_fault(scan, labels + "empty_box.txt:1", "the box is empty"));
  CHECK(has_fault(scan, labels + "outside.txt:1", "1.5 lies outside"));
  CHECK(has_fault(scan, labels + "negative.txt:1", "-0.25 lies outside"));
  CHECK(has_fault(scan, labels + "repeated.txt", "1 repeated rows"));
  CHECK(has_fault(scan, labels + "text.txt:1", "expected numbers"));
  CHECK(has_fault(scan, labels + "lost.txt", "without its picture"));
  const std::string images = folder.path("images/train/");
  CHECK(has_fault(scan, images + "small.png", "9x16 pixels; expected 10"));
  CHECK(has_fault(scan, images + "truncated.jpg", "truncated"));
  CHECK(has_fault(scan, images + "no_picture.jpg", "expected a JPEG"));
  CHECK(scan.fault_count == 11);
  CHECK(scan.faults.size() == 11);

  REQUIRE(data->size() == 4);
  CHECK(data->names() == std::vector<std::string>{"cat", "dog"});
  CHECK(data->source(0) == images + "a.png");
  CHECK(data->labels(0)[1] == Label{1, 0.25F, 0.25F, 0.125F, 0.125F, {}});
  const Label outline = data->labels(1)[0];
  CHECK(outline.category == 1);
  CHECK(outline.x == Approx(0.3));
  CHECK(outline.height == Approx(0.3));
  CHECK(outline.polygon.size() == 8);
  CHECK(data->labels(2).empty());
  CHECK(data->labels(3).size() == 1);
  const Sample sample = data->load(0);
  CHECK(sample.image.width == 20);
  CHECK(sample.image.pixels[5] == 50);
  CHECK(sample.labels.size() == 2);
  CHECK_THROWS_AS(data->load(4), Error);
}

TEST_CASE("yolo: lists of pictures, several places and numbered names are understood", "[vision]") {
  const Folder folder;
  for (const char* name : {"images/one/a.png", "images/two/b.png", "images/three/c.png"}) {
    folder.picture(name, 16, 16, 1);
  }
  folder.write("labels/one/a.txt", "9 0.5 0.5 0.5 0.5");
  folder.write("lists/some.txt", "images/one/a.png\n\n  images/two/b.png\r\n");
  folder.write("own/list.txt", "./../images/two/b.png\n");
  std::string names = "names:\n";
  for (int i = 9; i >= 0; --i) names += "  " + std::to_string(i) + ": c" + std::to_string(i) + "\n";
  const std::string yaml = folder.write("sets/x.yaml",
                                        "path: ..\nnc: 10\ntrain: [lists/some.txt, images/three]\n"
                                        "val: own/list.txt\ntest: images\n" +
                                            names);
  const auto train = open_dataset(yaml, Split::kTrain);
  REQUIRE(train->size() == 3);
  CHECK(train->names()[9] == "c9");
  CHECK(train->labels(0)[0].category == 9);
  CHECK(train->source(1) == folder.path("images/two/b.png"));
  CHECK(open_dataset(yaml, Split::kVal)->source(0) == folder.path("images/two/b.png"));
  CHECK(open_dataset(yaml, Split::kTest)->size() == 3);
}

TEST_CASE("yolo: a data.yaml that is not understood is an error that names the field", "[vision]") {
  const Folder folder;
  folder.picture("images/a.png", 16, 16, 1);
  struct Case {
    std::string text;
    std::string expected;
  };
  const std::string places = "train: images\nval: images\n";
  const auto c = GENERATE_COPY(values<Case>({
      {"val: images\nnames: [a]\n", "\"train\""},
      {"train: images\nnames: [a]\n", "\"val\""},
      {places, "\"names\""},
      {places + "names: {0: a, 2: b}\n", "0 to 1"},
      {places + "names: {0: a, zero: b}\n", "each number"},
      {places + "names: [a, [b]]\n", "\"names\""},
      {places + "names: []\n", "\"names\""},
      {places + "names: [a]\nnc: 2\n", "\"nc\" is 2"},
      {places + "names: [a]\npath: nowhere\n", "\"path\""},
      {"train: none\nval: images\nnames: [a]\n", "\"train\""},
      {"train: {a: b}\nval: images\nnames: [a]\n", "\"train\""},
      {"train: [", "no YAML"},
      {"just text", "expected fields"},
      {"", "expected fields"},
      {std::string(100000, '['), "no YAML"},
      {places + "names: &a [" + std::string(300, 'x') + "]\n", "longer than 256"},
      {places + "names: *a\n", "no YAML"},
  }));
  const std::string yaml = folder.write("data.yaml", c.text);
  CAPTURE(c.text.substr(0, 100));
  const std::string error = error_of(yaml);
  CHECK(error.find(yaml) == 0);
  CHECK(error.find(c.expected) != std::string::npos);
}

TEST_CASE("yolo: references in YAML cannot make a small file say much", "[vision]") {
  const Folder folder;
  std::string yaml = "a0: &a0 [x]\n";
  for (int i = 1; i < 40; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    yaml += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last;
    for (int n = 0; n < 9; ++n) yaml += ", " + last;
    yaml += "]\n";
  }
  folder.picture("images/a.png", 16, 16, 1);
  const std::string path =
      folder.write("data.yaml", yaml + "train: images\nval: images\nnames: *a39\n");
  CHECK(error_of(path).find("names") != std::string::npos);
}

TEST_CASE("darknet: pictures of a list, labels beside them", "[vision]") {
  const Folder folder;
  folder.picture("data/obj/a.jpg", 16, 16, 1);
  folder.picture("data/obj/b.jpg", 16, 16, 2);
  folder.write("data/obj/a.txt", "1 0.5 0.5 0.25 0.25\n");
  folder.write("data/obj/b.txt", "3 0.5 0.5 0.25 0.25\n");
  folder.write("data/obj/c.txt", "");
  folder.write("data/obj.names", "cat\ndog\n");
  folder.write("data/train.txt", "data/obj/a.jpg\ndata/obj/b.jpg\ndata/obj/gone.jpg\n");
  const std::string file =
      folder.write("data/obj.data",
                   "# comment\nclasses= 2\ntrain  = data/train.txt\n"
                   "valid = data/none.txt\nnames = data/obj.names\nbackup = x/\n");
  Scan scan;
  const auto data = open_dataset(file, Split::kTrain, {}, &scan);
  REQUIRE(data->size() == 1);
  CHECK(data->names() == std::vector<std::string>{"cat", "dog"});
  CHECK(data->labels(0)[0] == Label{1, 0.5F, 0.5F, 0.25F, 0.25F, {}});
  CHECK(scan.corrupt == 2);
  CHECK(has_fault(scan, folder.path("data/obj/b.txt:1"), "class 3"));
  CHECK(has_fault(scan, folder.path("data/obj/gone.jpg"), "cannot be opened"));
  CHECK(has_fault(scan, folder.path("data/obj/c.txt"), "without its picture"));
  CHECK(error_of(file, Split::kVal).find("\"valid\" is not there") != std::string::npos);
  CHECK(error_of(file, Split::kTest).find("\"test\"") != std::string::npos);
  folder.write("data/obj.names", "cat\n");
  CHECK(error_of(file).find("\"classes\" is 2") != std::string::npos);
  folder.write("data/obj.data", "classes\n");
  CHECK(error_of(file).find("key = value") != std::string::npos);
}

TEST_CASE("label file: numbers are strict, and any bytes are taken", "[vision]") {
  CHECK(parse_label_rows("0 0.5 0.5 1 1e-3", 1).labels.size() == 1);
  CHECK(parse_label_rows("1.0\t+0.5 0.5 1 1", 2).labels[0].category == 1);
  CHECK(parse_label_rows("", 1).wrong.empty());
  for (const char* row :
       {"0 0.5 0.5 1 nan", "0 0.5 0.5 1 inf", "0 0.5 0.5 1 1e999", "0 0.5 0.5 1 1x",
        "0,0.5,0.5,1,1", "0.5 0.5 0.5 1 1", "-1 0.5 0.5 1 1", "1e30 0.5 0.5 1 1", "0 0.5 0.5 1 1 1",
        "0 .1 .1 .1 .1 .1 .1", "0 .1 .1 .2 .2 .3 .3 .4", "0 0.5 0.5 1 1e-60"}) {
    CAPTURE(row);
    CHECK_FALSE(parse_label_rows(row, 1).wrong.empty());
  }
  std::string noise;
  for (int i = 0; i < 4000; ++i) noise += static_cast<char>(i * 7919 >> 3);
  CHECK(parse_label_rows(noise, 1).labels.empty());
}

}  // namespace
}  // namespace ps::vision
