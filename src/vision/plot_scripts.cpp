#include "vision/plot_scripts.h"

namespace ps::vision {
namespace {

constexpr const char* kCommon = R"(set encoding utf8
set datafile separator tab
set border 3 linecolor '#909090'
set tics nomirror textcolor '#404040'
set grid linecolor '#d8d8d8' linewidth 0.6
set key off
)";

// White to dark blue, for shares and counts.
constexpr const char* kBlues =
    "set palette defined (0 '#ffffff', 0.25 '#c6dbef', 0.6 '#4292c6', 1 '#08306b')\n";

constexpr const char* kResults = R"(
set terminal pngcairo size 2000,820 enhanced font 'sans,13' linewidth 1.5
set output '../results.png'
titles = "'training: box loss' 'training: objectness loss' 'training: class loss' 'precision' \
'recall' 'validation: box loss' 'validation: objectness loss' 'validation: class loss' \
'mAP at IoU 0.5' 'mAP at IoU 0.5 to 0.95'"

# Whole epochs on the axis, not more than seven.
stats 'results.tsv' skip 1 using 1 nooutput
first = STATS_min
last = STATS_max
single = last == first
if (single) { first = first - 0.5; last = last + 0.5 }
ten = 10.0 ** floor(log10(last - first))
parts = (last - first) / ten
step = parts > 5 ? ten : parts > 2 ? ten / 2 : ten / 5
step = step < 1 ? 1 : floor(step)
set xrange [first:last]
size = last - first > 60 ? 0 : single ? 1 : 0.55
set style line 1 linecolor '#8fb4dc' linewidth 1.3 pointtype 7 pointsize size
set style line 2 linecolor '#d1495b' linewidth 2.2
set xtics first - floor(first) > 0 ? ceil(first) : first, step format '%g'

set multiplot layout 2,5 title title noenhanced font 'sans,16' \
    margins 0.04,0.988,0.085,0.88 spacing 0.042,0.13
do for [i=1:10] {
  set title word(titles, i) font 'sans Bold,13' offset 0,-0.3
  if (i > 5) { set xlabel 'epoch' } else { unset xlabel }
  share = i == 4 || i == 5 || i > 8
  # A column without any number has no range of its own.
  if (share || word(empty, i) eq '1') {
    set yrange [0:1]
  } else {
    if (single) { set yrange [0:*] } else { set yrange [*:*] }
  }
  if (i == 1) { set key at screen 0.988,0.985 right top horizontal samplen 2.5 } else { set key off }
  plot 'results.tsv' using 1:(column(2*i)) with linespoints linestyle 1 title 'each epoch', \
       '' using 1:(column(2*i+1)) with lines linestyle 2 title 'smoothed'
}
unset multiplot
)";

constexpr const char* kCurves = R"(
set terminal pngcairo size 1350,900 enhanced font 'sans,16' linewidth 1.5
set output sprintf('../%s.png', name)
set tics 0.2
set format '%.1f'
set xlabel x_label noenhanced
set ylabel y_label noenhanced
set xrange [0:1]
set yrange [0:1.005]
set lmargin at screen 0.085
set rmargin at screen 0.69
set tmargin at screen 0.965
set bmargin at screen 0.115
set key at screen 0.985,0.965 right top Left reverse noenhanced samplen 1.6 spacing 1.15
set style line 1 linecolor '#203a72' linewidth 3.5
data = sprintf('%s.tsv', name)
# The mean first in the key, yet on top in the picture.
if (classes <= 20) {
  plot data using 1:(NaN) with lines linestyle 1 title columnheader(2), \
       for [i=1:classes] data using 1:(column(i+2)) with lines linewidth 1.5 \
         linecolor rgb word(colors, i) title columnheader(i+2), \
       data using 1:2 with lines linestyle 1 notitle
} else {
  plot data using 1:(NaN) with lines linestyle 1 title columnheader(2), \
       for [i=1:classes] data using 1:(column(i+2)) with lines linewidth 0.8 \
         linecolor rgb '#b8b8b8' title (i > 1 ? '' : sprintf('each of %d classes', classes)), \
       data using 1:2 with lines linestyle 1 notitle
}
)";

constexpr const char* kConfusion = R"(
font = size <= 12 ? 16 : size <= 24 ? 13 : size <= 50 ? 9 : size <= 90 ? 7 : 5
set terminal pngcairo size 1350,1150 enhanced font sprintf('sans,%d', font) linewidth 1.5
set output '../confusion_matrix.png'
set border 31 linewidth 0.6
unset grid
set cbrange [0:1]
set cbtics nomirror format '%.1f' font 'sans,14'
set xrange [-0.5:size-0.5]
set yrange [size-0.5:-0.5]
set ytics scale 0 textcolor '#202020' noenhanced
turned = size <= 6 || size > 120 ? 0 : size <= 30 ? 45 : 90
if (turned) {
  set xtics rotate by turned right scale 0 textcolor '#202020' noenhanced
} else {
  set xtics norotate center scale 0 textcolor '#202020' noenhanced
}
set label 'true' at screen 0.53,0.03 center font 'sans,17'
set label 'predicted' at screen 0.018,0.56 center rotate by 90 font 'sans,17'
set label 'share of the column' at screen 0.975,0.56 center rotate by 90 font 'sans,17'
set lmargin at screen 0.195
set rmargin at screen 0.87
set tmargin at screen 0.975
set bmargin at screen (turned ? 0.175 : 0.105)
data = 'confusion_matrix.tsv'
# A share's text, where it says something and there is room.
shown(share) = size <= 30 && share >= 0.005 ? sprintf('%.2f', share) : ''
ink(share) = share > 0.57 ? 0xffffff : 0x202020
text_font = sprintf('sans,%d', font - 2)
if (size <= 120) {
  plot data skip 1 using 2:1:4:xticlabel(strcol(6)):yticlabel(strcol(5)) with image pixels, \
       data skip 1 using 2:1:(shown($4)):(ink($4)) with labels textcolor rgb variable font text_font
} else {
  set xtics norotate center autofreq font 'sans,13'
  set ytics autofreq font 'sans,13'
  plot data skip 1 using 2:1:4 with image pixels
}
)";

constexpr const char* kLabels = R"(
set terminal pngcairo size 1500,1500 enhanced font 'sans,15' linewidth 1.5
set output 'labels.png'
unset colorbox
set multiplot layout 2,2 margins 0.075,0.975,0.065,0.965 spacing 0.09,0.135

set title 'boxes of each class'
set xrange [-0.6:classes-0.4]
set yrange [0:*]
set boxwidth 0.8
set style fill solid 0.85 noborder
unset grid
set grid ytics linecolor '#d8d8d8' linewidth 0.6
name_font = classes <= 12 ? 'sans,14' : 'sans,11'
count_font = classes <= 12 ? 'sans,13' : 'sans,9'
if (classes <= 30) {
  if (classes <= 6) {
    set xtics norotate center scale 0 noenhanced font name_font
  } else {
    set xtics rotate by 45 right scale 0 noenhanced font name_font
  }
  plot 'labels_classes.tsv' skip 1 using 1:2:3:xticlabel(strcol(4)) with boxes \
         linecolor rgb variable, \
       '' skip 1 using 1:2:2 with labels offset 0,0.6 font count_font textcolor '#404040'
} else {
  set xlabel 'class'
  plot 'labels_classes.tsv' skip 1 using 1:2:3 with boxes linecolor rgb variable
  unset xlabel
}
set xtics norotate center scale 1 font 'sans,15'

set title sprintf('shapes of %d boxes, moved to one center', shown)
set grid linecolor '#d8d8d8' linewidth 0.6
set xrange [-0.5:0.5]
set yrange [0.5:-0.5]
set xtics 0.25
set ytics 0.25
set style fill empty
set xlabel 'share of the picture''s width'
set ylabel 'share of its height' offset 1,0
set border 15
plot 'labels_boxes.tsv' skip 1 using (0):(0):(-$1/2):($1/2):(-$2/2):($2/2):3 with boxxyerror \
  linewidth 0.5 linecolor rgb variable

unset grid
set xrange [0:1]
set xtics 0.2
set ytics 0.2
set title 'where their centers are'
set yrange [1:0]
set xlabel 'x'
set ylabel 'y'
plot 'labels_centers.tsv' skip 1 using 1:2:3 with image pixels

set title 'how large they are'
set yrange [0:1]
set xlabel 'width'
set ylabel 'height'
plot 'labels_sizes.tsv' skip 1 using 1:2:3 with image pixels
unset multiplot
)";

}  // namespace

std::string results_script() {
  return std::string(kCommon) + kResults;
}

std::string curves_script() {
  return std::string(kCommon) + kCurves;
}

std::string confusion_script() {
  return std::string(kCommon) + kBlues + kConfusion;
}

std::string labels_script() {
  return std::string(kCommon) + kBlues + kLabels;
}

}  // namespace ps::vision
