// COCO's and Pascal VOC's annotation files, with faults planted.
#include <string>
#include <vector>

#include <ps/vision/dataset.h>

#include "support/catch.h"
#include "vision/dataset_support.h"

namespace ps::vision {
namespace {

using testing::error_of;
using testing::Folder;
using testing::has_fault;

constexpr const char* kCoco = R"({
 "info": {"nested": [[1, {"a": [2]}]], "id": 3},
 "images": [
  {"id": 7, "file_name": "a.png", "height": 16, "width": 20},
  {"id": 8, "file_name": "b.png"},
  {"id": 9, "file_name": "wrong.png", "height": 16, "width": 30},
  {"id": 10, "file_name": "gone.png", "height": 16, "width": 20},
  {"id": 8, "file_name": "c.png"},
  {"id": 11}
 ],
 "annotations": [
  {"id": 1, "image_id": 7, "category_id": 90, "bbox": [5, 4, 10, 8], "iscrowd": 0, "area": 80,
   "segmentation": [[5, 4, 15, 4], [5, 4, 15, 4, 15, 12, 5, 12]]},
  {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 20, 16], "iscrowd": 1,
   "segmentation": {"counts": [1, 2, 3], "size": [16, 20]}},
  {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 0, 5]},
  {"id": 4, "image_id": 7, "category_id": 3, "bbox": [25, 0, 5, 5]},
  {"id": 5, "image_id": 7, "category_id": 3, "bbox": [16, 8, 8, 8]},
  {"id": 6, "image_id": 7, "category_id": 4, "bbox": [1, 1, 5, 5]},
  {"id": 7, "image_id": 70, "category_id": 3, "bbox": [1, 1, 5, 5]},
  {"id": 8, "image_id": 7, "category_id": 3, "bbox": [1, 1, 5]},
  {"id": 9, "image_id": 7, "category_id": 90, "bbox": [5, 4, 10, 8],
   "segmentation": [[5, 4, 15, 4, 15, 12, 5, 12]]}
 ],
 "categories": [
  {"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car", "supercategory": "vehicle"},
  {"id": 3, "name": "twice"}
 ]
})";

std::string write_coco(const Folder& folder) {
  for (const char* name : {"a", "b", "c", "wrong"}) {
    folder.picture("train2017/" + std::string(name) + ".png", 20, 16, 9);
  }
  return folder.write("annotations/instances_train2017.json", kCoco);
}

TEST_CASE("coco: numbers with gaps become classes, crowds are left out, faults are named",
          "[vision]") {
  const Folder folder;
  const std::string json = write_coco(folder);
  Scan scan;
  const auto data =
      open_dataset(GENERATE(true, false) ? json : folder.path(""), Split::kTrain, {}, &scan);
  REQUIRE(data->size() == 2);
  CHECK(data->names() == std::vector<std::string>{"car", "toothbrush"});
  REQUIRE(data->labels(0).size() == 2);
  const Label& outlined = data->labels(0)[0];
  CHECK(outlined.category == 1);
  CHECK(outlined.x == 0.5F);
  CHECK(outlined.y == 0.5F);
  CHECK(outlined.width == 0.5F);
  CHECK(outlined.height == 0.5F);
  CHECK(outlined.polygon == std::vector<float>{.25F, .25F, .75F, .25F, .75F, .75F, .25F, .75F});
  const Label& cut = data->labels(0)[1];
  CHECK(cut == Label{0, 0.9F, 0.75F, 0.2F, 0.5F, {}});
  CHECK(data->load(1).image.height == 16);
  CHECK(scan.images == 1);
  CHECK(scan.backgrounds == 1);
  CHECK(scan.corrupt == 2);

  const std::string a = folder.path("train2017/a.png");
  CHECK(has_fault(scan, a, "an empty box"));
  CHECK(has_fault(scan, a, "outside of the picture"));
  CHECK(has_fault(scan, a, "reaches beyond the picture"));
  CHECK(has_fault(scan, a, "1 repeated boxes"));
  CHECK(has_fault(scan, folder.path("train2017/wrong.png"), "says 30x16"));
  CHECK(has_fault(scan, folder.path("train2017/gone.png"), "cannot be opened"));
  CHECK(has_fault(scan, json, "image 8 comes twice"));
  CHECK(has_fault(scan, json, "image 11 has no file_name"));
  CHECK(has_fault(scan, json, "category 3 comes twice"));
  CHECK(has_fault(scan, json, "has the category 4"));
  CHECK(has_fault(scan, json, "image 70, which is not listed"));
  CHECK(has_fault(scan, json, "expected 4 numbers"));
  CHECK(scan.fault_count == 12);
}

TEST_CASE("coco: another split is the file of that name", "[vision]") {
  const Folder folder;
  const std::string json = write_coco(folder);
  folder.picture("val2017/v.png", 10, 10, 1);
  folder.write("annotations/instances_val2017.json",
               R"({"images": [{"id": 1, "file_name": "v.png"}], "annotations": [],
                   "categories": [{"id": 1, "name": "x"}]})");
  folder.write("annotations/captions_val2017.json", "{}");
  CHECK(open_dataset(json, Split::kVal)->source(0) == folder.path("val2017/v.png"));
  CHECK(open_dataset(folder.path(""), Split::kVal)->names()[0] == "x");
  CHECK(error_of(folder.path(""), Split::kTest).find("\"test\"") != std::string::npos);
  CHECK(error_of(json, Split::kTest).find("instances_test2017.json") != std::string::npos);
}

TEST_CASE("coco: hostile JSON is an error that names the file", "[vision]") {
  const Folder folder;
  const std::string text = GENERATE_COPY(
      as<std::string>{}, "", "[", "{\"images\": 1}", std::string(200000, '['),
      std::string("{\"images\":") + std::string(40, '['), "{\"images\": [{\"id\": 1e999}]}",
      std::string(kCoco).substr(0, 300), "{\"annotations\": {\"a\": [[[[1]]]]}}");
  const std::string json = folder.write("x.json", text);
  CHECK(error_of(json).find(json) == 0);
}

std::string voc_object(const std::string& name,
                       const std::string& box,
                       const std::string& more = "") {
  return "<object><name>" + name + "</name>" + more + "<bndbox>" + box + "</bndbox></object>";
}

std::string voc_box(int left, int top, int right, int bottom) {
  return "<xmin>" + std::to_string(left) + "</xmin><ymin>" + std::to_string(top) + "</ymin><xmax>" +
         std::to_string(right) + "</xmax><ymax> " + std::to_string(bottom) + " </ymax>";
}

std::string voc_file(const std::string& objects, int width = 20) {
  return "<?xml version=\"1.0\"?><annotation><size><width>" + std::to_string(width) +
         "</width><height>16</height></size>" + objects + "</annotation>";
}

TEST_CASE("voc: boxes of XML files, classes by name, faults named", "[vision]") {
  const Folder folder;
  for (const char* name : {"a", "b", "size", "broken", "bare"}) {
    folder.picture("JPEGImages/" + std::string(name) + ".jpg", 20, 16, 9);
  }
  folder.write(
      "Annotations/a.xml",
      voc_file(voc_object("dog", voc_box(5, 4, 15, 12)) +
               voc_object("cat", voc_box(0, 0, 20, 16), "<difficult>1</difficult>") +
               voc_object("cat", voc_box(0, 0, 10, 16), "<difficult>0</difficult>") +
               voc_object("cat", "<xmin>x</xmin>") + voc_object("cat", voc_box(8, 8, 8, 12))));
  folder.write("Annotations/b.xml", voc_file(""));
  folder.write("Annotations/size.xml", voc_file("", 30));
  folder.write("Annotations/broken.xml", "<annotation><object>");
  folder.write("Annotations/other.xml", voc_file(voc_object("ant", voc_box(0, 0, 5, 5))));
  folder.write("ImageSets/Main/train.txt", "a\nb\nsize\nbroken\nbare\ngone\n");
  folder.write("ImageSets/Main/val.txt", "other\n");
  Scan scan;
  const auto data = open_dataset(folder.path(""), Split::kTrain, {}, &scan);
  REQUIRE(data->size() == 3);
  CHECK(data->names() == std::vector<std::string>{"ant", "cat", "dog"});
  REQUIRE(data->labels(0).size() == 2);
  CHECK(data->labels(0)[0] == Label{2, 0.5F, 0.5F, 0.5F, 0.5F, {}});
  CHECK(data->labels(0)[1] == Label{1, 0.25F, 0.5F, 0.5F, 1.0F, {}});
  CHECK(scan.backgrounds == 2);
  CHECK(scan.corrupt == 3);
  CHECK(has_fault(scan, folder.path("Annotations/a.xml"), "an object without"));
  CHECK(has_fault(scan, folder.path("Annotations/broken.xml"), "no VOC annotation"));
  CHECK(has_fault(scan, folder.path("JPEGImages/a.jpg"), "an empty box"));
  CHECK(has_fault(scan, folder.path("JPEGImages/size.jpg"), "says 30x16"));
  CHECK(has_fault(scan, folder.path("JPEGImages/gone.jpg"), "cannot be opened"));
  CHECK(scan.fault_count == 5);
  CHECK(error_of(folder.path(""), Split::kVal).find("other.jpg") != std::string::npos);
  CHECK(error_of(folder.path(""), Split::kTest).find("test.txt") != std::string::npos);

  folder.write("classes.txt", "dog\ncat\n");
  CHECK(open_dataset(folder.path(""), Split::kTrain)->labels(0)[0].category == 0);
}

TEST_CASE("voc: deeply nested XML does no harm", "[vision]") {
  const Folder folder;
  folder.picture("JPEGImages/a.jpg", 20, 16, 9);
  folder.write("classes.txt", "x\n");
  std::string nested = "<annotation>";
  for (int i = 0; i < 100000; ++i) nested += "<a>";
  folder.write("Annotations/a.xml", nested);
  folder.write("ImageSets/Main/train.txt", "a\n");
  CHECK(error_of(folder.path("")).find("no VOC annotation") != std::string::npos);
}

TEST_CASE("dataset: what is no data set is an error that says what one is", "[vision]") {
  const Folder folder;
  CHECK(error_of(folder.path("")).find("expected a data set's folder") != std::string::npos);
  CHECK(error_of(folder.path("none.yaml")).find("cannot be opened") != std::string::npos);
  CHECK(error_of("data.tar").find("expected a data set") != std::string::npos);
  CHECK(error_of("fm-det:x=1").find("keys") != std::string::npos);
}

}  // namespace
}  // namespace ps::vision
