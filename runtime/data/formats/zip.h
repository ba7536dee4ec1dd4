/* The ZIP archives that NPZ files are: members stored or deflated, one behind the other from the first byte on, then
 * the central directory, with or without ZIP64. APPNOTE.TXT 6.3.10 of PKWARE has the format. */
#ifndef PERI_DATA_ZIP_H
#define PERI_DATA_ZIP_H

#include "data/reader.h"

#define PERI_ZIP_LOCAL        0x04034b50u
#define PERI_ZIP_DESCRIPTOR   0x08074b50u
#define PERI_ZIP_CENTRAL      0x02014b50u
#define PERI_ZIP_END          0x06054b50u
#define PERI_ZIP_END64        0x06064b50u
#define PERI_ZIP_LOCATOR64    0x07064b50u
#define PERI_ZIP_EXTRA64      0x0001u
#define PERI_ZIP_LOCAL_SIZE   30 /* of each without names and extra fields */
#define PERI_ZIP_CENTRAL_SIZE 46
#define PERI_ZIP_END_SIZE     22
#define PERI_ZIP_END64_SIZE   56
#define PERI_ZIP_LOCATOR_SIZE 20
#define PERI_ZIP_STORED       0
#define PERI_ZIP_DEFLATED     8
#define PERI_ZIP_DESCRIBED    (1u << 3)  /* flags: CRC and sizes stand behind the data */
#define PERI_ZIP_UTF8         (1u << 11) /* the name is UTF-8 */
#define PERI_ZIP_LEVELS       (3u << 1)  /* how hard deflate was to try */

typedef struct peri_zip_entry {
  peri_member member; /* its name is terminated */
  uint64_t header;    /* offset of the local header */
  unsigned flags;
} peri_zip_entry;

/* All members in the order of the file, each checked against its local header, and that nothing is between them. */
typedef struct peri_zip {
  size_t n;
  peri_zip_entry *entries;
  char *names; /* of all */
  size_t names_size;
} peri_zip;

peri_status peri_zip_open(peri_reader *reader, peri_zip *out);
void peri_zip_close(peri_context *context, peri_zip *zip);

#endif
