/* The table-driven loop that a C programmer would write for this frame, as the bench's yardstick.
 *
 * Usage: baseline FILE
 * Reads FILE into memory. Then, for every line on standard input, walks the bytes once and prints
 * `NANOSECONDS FRAMES SUM`: how long the walk took, how many frames it found and the sum of their
 * offsets modulo 2^64. Staying alive between the passes keeps the file reading, the table and the
 * process start out of the time.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint8_t table[256];

static void fill_table(void)
{
    for (int byte = 0; byte < 256; byte++) {
        uint8_t crc = (uint8_t)byte;
        for (int bit = 0; bit < 8; bit++)
            crc = (uint8_t)((crc & 0x80) ? (crc << 1) ^ 0x07 : crc << 1);
        table[byte] = crc;
    }
}

/* F7, LEN of at least 3, right CRC: a frame, go on behind it. Else go on one byte further. */
static void walk(const uint8_t *bytes, size_t size, uint64_t *frames, uint64_t *sum)
{
    size_t at = 0;
    *frames = 0;
    *sum = 0;
    while (at + 6 <= size) {
        if (bytes[at] == 0xf7 && bytes[at + 2] >= 3) {
            size_t total = (size_t)bytes[at + 2] + 3;
            if (total <= size - at) {
                uint8_t crc = 0;
                for (size_t i = 2; i < total - 1; i++)
                    crc = table[crc ^ bytes[at + i]];
                if (crc == bytes[at + total - 1]) {
                    *frames += 1;
                    *sum += at;
                    at += total;
                    continue;
                }
            }
        }
        at++;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: baseline FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(argv[1]);
        return 1;
    }
    long size = ftell(file);
    rewind(file);
    uint8_t *bytes = size > 0 ? malloc((size_t)size) : NULL;
    if (!bytes || fread(bytes, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "%s: cannot read it whole\n", argv[1]);
        return 1;
    }
    fclose(file);
    fill_table();

    char line[16];
    while (fgets(line, sizeof line, stdin)) {
        struct timespec start, end;
        uint64_t frames, sum;
        clock_gettime(CLOCK_MONOTONIC, &start);
        walk(bytes, (size_t)size, &frames, &sum);
        clock_gettime(CLOCK_MONOTONIC, &end);
        long long ns = (long long)(end.tv_sec - start.tv_sec) * 1000000000LL
                     + (end.tv_nsec - start.tv_nsec);
        printf("%lld %llu %llu\n", ns, (unsigned long long)frames, (unsigned long long)sum);
        fflush(stdout);
    }
    free(bytes);
    return 0;
}
