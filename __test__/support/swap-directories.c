/* Exchanges two directories endlessly as the given user: swap <user> <one> <other>. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arguments) {
  if (count != 4 || setgid(atoi(arguments[1])) != 0 || setuid(atoi(arguments[1])) != 0) return 2;
  for (long swaps = 0;; swaps++) {
    if (renameat2(AT_FDCWD, arguments[2], AT_FDCWD, arguments[3], RENAME_EXCHANGE) != 0) return 3;
    if (swaps == 1000 && write(1, "swapping\n", 9) != 9) return 4;
    usleep(50);
  }
}
