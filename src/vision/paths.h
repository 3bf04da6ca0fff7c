// Finding the files of a data set: pictures in folders and in lists, and the labels that belong to
// them. Paths come out absolute, so that messages and caches mean the same from everywhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vision/listing.h"

namespace ps::vision {

constexpr std::uint64_t kMaxTextBytes = std::uint64_t{1} << 28;

std::string absolute_path(const std::string& path);
std::string folder_of(const std::string& path);
// `path` below `folder`, or as it is when it is absolute.
std::string joined(const std::string& folder, const std::string& path);
// "a/b.jpg" -> "a/b" + ending.
std::string with_ending(const std::string& path, std::string_view ending);
bool exists(const std::string& path) noexcept;
bool is_folder(const std::string& path) noexcept;

std::string_view trimmed(std::string_view text) noexcept;
// A text file's lines, without blanks around them and without empty ones. Throws as read_file().
std::vector<std::string> read_lines(const std::string& path);

// Pictures in a folder and in those below it, sorted. Throws Error{kIo} naming the folder.
std::vector<std::string> pictures_below(const std::string& folder);

// The pictures that a list file names, one a line. What is relative lies below the folder of the
// list, or else the first of `others`, in which the first of them is found. Throws as read_file().
std::vector<std::string> listed_pictures(const std::string& list,
                                         const std::vector<std::string>& others);

// Where Y5's convention has the labels: the last "/images/" becomes "/labels/", the ending ".txt".
std::string label_path(const std::string& image);

// Adds a fault to `listing` for each label file beside those of its entries whose picture is
// nowhere.
void find_lost_labels(Listing& listing);

}  // namespace ps::vision
