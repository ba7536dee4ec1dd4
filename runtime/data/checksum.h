/* CRC-32 as gzip, archives and PNG have it (ISO 3309), 16 bytes at a time. zlib has one, too; what only loads and
 * scores models links no zlib. */
#ifndef PERI_DATA_CHECKSUM_H
#define PERI_DATA_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Of what has the checksum crc, which is 0 for nothing, and n bytes behind it. */
uint32_t peri_crc32(uint32_t crc, const void *bytes, size_t n);

#endif
