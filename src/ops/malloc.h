// What a process that exchanges large messages wants of malloc.
#pragma once

namespace ps::ops {

// From now on malloc keeps what is freed. libzmq takes memory for every message that comes in;
// glibc would give that of large ones back to the system and take it anew, a page fault for every
// 4 KiB, which costs more than the copy. Does nothing where the user has tuned malloc himself, by
// its environment variables, and with other C libraries.
void keep_freed_memory();

}  // namespace ps::ops
