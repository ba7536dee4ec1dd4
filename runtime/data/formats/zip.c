/* Reading the directory of a ZIP archive. What it says is checked before a member is read: where members lie, that
 * their local headers say the same, and that sizes are what deflate can make of the bytes. */
#include "data/formats/zip.h"
#include "data/formats/bytes.h"
#include "data/utf8.h"

#include <stdlib.h>

#define MAX_COMMENT 65535
#define SMALL       0xffffffffu /* in the place of what stands in ZIP64's extra field */

/* ---- the end ---- */

typedef struct ending {
  uint64_t n, size, offset; /* of the central directory */
  uint64_t at;              /* where it has to end */
} ending;

/* The last place where an end record reaches exactly to the end of the file. */
static peri_status find_end(peri_reader *reader, const unsigned char *tail, size_t n, uint64_t start, uint64_t *at) {
  for (size_t i = n - PERI_ZIP_END_SIZE + 1; i > 0; i--) {
    const unsigned char *b = tail + i - 1;
    if (peri_load_le32(b) != PERI_ZIP_END || i - 1 + PERI_ZIP_END_SIZE + peri_load_le16(b + 20) != n) continue;
    *at = start + i - 1;
    return PERI_OK;
  }
  return peri_reader_fail(reader, 0, "has no end of a ZIP archive (expected an NPZ file, not cut)");
}

/* A number of the old form, where it is one, must be that of ZIP64. */
static bool agrees(uint64_t old, uint64_t largest, uint64_t number) { return old == largest || old == number; }

static peri_status read_end64(peri_reader *reader, const unsigned char *locator, uint64_t locator_at, ending *end) {
  unsigned char b[PERI_ZIP_END64_SIZE];
  uint64_t at = peri_load_le64(locator + 8);
  if (peri_load_le32(locator + 4) != 0 || peri_load_le32(locator + 16) != 1) {
    return peri_reader_fail(reader, locator_at, "the archive is of several files");
  }
  if (locator_at < PERI_ZIP_END64_SIZE || at > locator_at - PERI_ZIP_END64_SIZE) {
    return peri_reader_fail(reader, locator_at + 8, "ZIP64's end at %llu (expected it before here)",
                            (unsigned long long)at);
  }
  PERI_TRY(peri_reader_seek(reader, at));
  PERI_TRY(peri_reader_read(reader, b, sizeof b, "ZIP64's end"));
  if (peri_load_le32(b) != PERI_ZIP_END64 || peri_load_le64(b + 4) != locator_at - at - 12) {
    return peri_reader_fail(reader, at, "no ZIP64 end that reaches to its locator");
  }
  ending large = {peri_load_le64(b + 32), peri_load_le64(b + 40), peri_load_le64(b + 48), at};
  if (peri_load_le32(b + 16) != 0 || peri_load_le32(b + 20) != 0 || peri_load_le64(b + 24) != large.n ||
      !agrees(end->n, 0xffff, large.n) || !agrees(end->size, SMALL, large.size) ||
      !agrees(end->offset, SMALL, large.offset)) {
    return peri_reader_fail(reader, at, "the two ends of the archive do not say the same");
  }
  *end = large;
  return PERI_OK;
}

static peri_status read_ends(peri_reader *reader, const unsigned char *tail, size_t n, ending *end) {
  uint64_t start = reader->size - n, at = 0;
  PERI_TRY(find_end(reader, tail, n, start, &at));
  const unsigned char *b = tail + (at - start);
  *end = (ending){peri_load_le16(b + 10), peri_load_le32(b + 12), peri_load_le32(b + 16), at};
  bool large = at - start >= PERI_ZIP_LOCATOR_SIZE && peri_load_le32(b - PERI_ZIP_LOCATOR_SIZE) == PERI_ZIP_LOCATOR64;
  if (peri_load_le32(b + 4) != 0 || peri_load_le16(b + 8) != end->n) {
    return peri_reader_fail(reader, at, "the archive is of several files");
  }
  if (large) PERI_TRY(read_end64(reader, b - PERI_ZIP_LOCATOR_SIZE, at - PERI_ZIP_LOCATOR_SIZE, end));
  if (end->offset > end->at || end->size != end->at - end->offset) {
    return peri_reader_fail(reader, at, "a central directory of %llu bytes at %llu (expected it to end at %llu)",
                            (unsigned long long)end->size, (unsigned long long)end->offset,
                            (unsigned long long)end->at);
  }
  if (end->n > end->size / PERI_ZIP_CENTRAL_SIZE) {
    return peri_reader_fail(reader, at, "%llu members, more than %llu bytes of central directory can hold",
                            (unsigned long long)end->n, (unsigned long long)end->size);
  }
  return PERI_OK;
}

static peri_status find_directory(peri_reader *reader, ending *end) {
  const size_t most = PERI_ZIP_LOCATOR_SIZE + PERI_ZIP_END_SIZE + MAX_COMMENT;
  size_t n = (size_t)(reader->size < most ? reader->size : most);
  void *tail;
  if (n < PERI_ZIP_END_SIZE) {
    return peri_reader_fail(reader, 0, "has %zu bytes (expected an NPZ file, a ZIP archive)", n);
  }
  PERI_TRY(peri_alloc(reader->context, n, &tail));
  peri_status status = peri_reader_seek(reader, reader->size - n);
  if (status == PERI_OK) status = peri_reader_read(reader, tail, n, "the end");
  if (status == PERI_OK) status = read_ends(reader, tail, n, end);
  peri_free(reader->context, tail, n);
  return status;
}

/* ---- extra fields ---- */

/* Takes the sizes and the offset that do not fit 32 bits, in this order, from ZIP64's field; others may be there. */
static bool take_large(const unsigned char *extra, size_t n, int numbers, uint64_t *const *number) {
  size_t at = 0;
  while (n - at >= 4) {
    unsigned id = peri_load_le16(extra + at);
    size_t length = peri_load_le16(extra + at + 2), used = 0;
    at += 4;
    if (length > n - at) return false;
    for (int i = 0; id == PERI_ZIP_EXTRA64 && i < numbers; i++) {
      if (*number[i] != SMALL) continue;
      if (length - used < 8) return false;
      *number[i] = peri_load_le64(extra + at + used);
      used += 8;
    }
    if (id == PERI_ZIP_EXTRA64) numbers = 0; /* one field alone */
    at += length;
  }
  return at == n;
}

/* ---- members ---- */

static peri_status refuse(const peri_reader *reader, const peri_zip_entry *entry, const char *what) {
  char name[PERI_NAME_TEXT];
  return peri_reader_fail(reader, entry->header, "member \"%s\" %s", peri_name_text(entry->member.name, name), what);
}

static peri_status check_name(const peri_reader *reader, const peri_zip_entry *entry, size_t length) {
  const unsigned char *s = (const unsigned char *)entry->member.name, *end = s + length;
  while (s < end) {
    size_t bytes = *s == '\0' ? 0 : peri_utf8_length(s, end);
    if (bytes == 0) return refuse(reader, entry, "has a name that is no UTF-8, or has a zero byte");
    s += bytes;
  }
  return PERI_OK;
}

static peri_status check_entry(const peri_reader *reader, const peri_zip_entry *entry, unsigned method) {
  const peri_member *m = &entry->member;
  if (entry->flags & 1) return refuse(reader, entry, "is encrypted");
  if (entry->flags & ~(PERI_ZIP_DESCRIBED | PERI_ZIP_UTF8 | PERI_ZIP_LEVELS)) {
    return refuse(reader, entry, "has flags that are not known");
  }
  if (method != PERI_ZIP_STORED && method != PERI_ZIP_DEFLATED) {
    return refuse(reader, entry, "is compressed otherwise than by deflate");
  }
  if (method == PERI_ZIP_STORED ? m->size != m->length : m->length > peri_deflate_capacity(m->size)) {
    return refuse(reader, entry, "has data of another length than its bytes can hold");
  }
  return PERI_OK;
}

/* One record of the central directory, which has n bytes left at b; its name goes to `name`. */
static peri_status take_record(peri_reader *reader, const ending *end, const unsigned char *b, size_t n, char *name,
                               peri_zip_entry *entry, size_t *used) {
  uint64_t at = end->at - n;
  if (n < PERI_ZIP_CENTRAL_SIZE || peri_load_le32(b) != PERI_ZIP_CENTRAL) {
    return peri_reader_fail(reader, at, "no record of the central directory");
  }
  size_t length = peri_load_le16(b + 28), extra = peri_load_le16(b + 30), comment = peri_load_le16(b + 32);
  *used = PERI_ZIP_CENTRAL_SIZE + length + extra + comment;
  if (*used > n) return peri_reader_fail(reader, at, "a record that reaches beyond the central directory");
  memcpy(name, b + PERI_ZIP_CENTRAL_SIZE, length);
  name[length] = '\0';
  *entry = (peri_zip_entry){.member = {.name = name,
                                       .size = peri_load_le32(b + 20),
                                       .length = peri_load_le32(b + 24),
                                       .crc = peri_load_le32(b + 16),
                                       .deflated = peri_load_le16(b + 10) == PERI_ZIP_DEFLATED},
                            .header = peri_load_le32(b + 42),
                            .flags = peri_load_le16(b + 8)};
  uint64_t *const large[] = {&entry->member.length, &entry->member.size, &entry->header};
  if (!take_large(b + PERI_ZIP_CENTRAL_SIZE + length, extra, 3, large)) {
    return peri_reader_fail(reader, at, "extra fields that are not sound");
  }
  PERI_TRY(check_name(reader, entry, length));
  if (peri_load_le16(b + 34) != 0) return refuse(reader, entry, "is in another file");
  return check_entry(reader, entry, peri_load_le16(b + 10));
}

static peri_status take_records(peri_reader *reader, const ending *end, const unsigned char *directory, peri_zip *zip) {
  size_t at = 0, n = (size_t)end->size;
  char *name = zip->names;
  for (size_t i = 0; i < zip->n; i++) {
    size_t used = 0;
    PERI_TRY(take_record(reader, end, directory + at, n - at, name, &zip->entries[i], &used));
    name += strlen(name) + 1;
    at += used;
  }
  if (at != n) return peri_reader_fail(reader, end->offset + at, "more than records in the central directory");
  return PERI_OK;
}

/* ---- what stands beside the members ---- */

/* What stands behind the data of a member in place of its local header's numbers, up to `next`. */
static peri_status check_descriptor(peri_reader *reader, const peri_zip_entry *entry, uint64_t next) {
  const peri_member *m = &entry->member;
  unsigned char bytes[24], *b = bytes;
  uint64_t n = next - m->begin - m->size;
  if (n != 12 && n != 16 && n != 20 && n != 24) {
    return refuse(reader, entry, "is not followed by its descriptor and the next");
  }
  PERI_TRY(peri_reader_seek(reader, m->begin + m->size));
  PERI_TRY(peri_reader_read(reader, bytes, n, "descriptor"));
  if (n % 8 == 0 && peri_load_le32(b) != PERI_ZIP_DESCRIPTOR) {
    return refuse(reader, entry, "has no signature before its descriptor");
  }
  if (n % 8 == 0) b += 4;
  bool large = n >= 20;
  uint64_t size = large ? peri_load_le64(b + 4) : peri_load_le32(b + 4);
  uint64_t length = large ? peri_load_le64(b + 12) : peri_load_le32(b + 8);
  if (peri_load_le32(b) == m->crc && size == m->size && length == m->length) return PERI_OK;
  return refuse(reader, entry, "has a descriptor that says otherwise than the central directory");
}

/* The local header must say what the central directory does; sets where the member begins. */
static peri_status check_local(peri_reader *reader, peri_zip_entry *entry, uint64_t next, unsigned char *room) {
  peri_member *m = &entry->member;
  unsigned char b[PERI_ZIP_LOCAL_SIZE];
  if (next - entry->header < sizeof b) return refuse(reader, entry, "has no room for its local header");
  PERI_TRY(peri_reader_seek(reader, entry->header));
  PERI_TRY(peri_reader_read(reader, b, sizeof b, "local header"));
  size_t length = peri_load_le16(b + 26), extra = peri_load_le16(b + 28);
  m->begin = entry->header + sizeof b + length + extra;
  if (peri_load_le32(b) != PERI_ZIP_LOCAL) return refuse(reader, entry, "has no local header");
  if (m->begin > next || m->size > next - m->begin) return refuse(reader, entry, "reaches into what comes behind it");
  PERI_TRY(peri_reader_read(reader, room, length + extra, "name and extra fields"));
  bool described = entry->flags & PERI_ZIP_DESCRIBED;
  uint64_t crc = peri_load_le32(b + 14), size = peri_load_le32(b + 18), data = peri_load_le32(b + 22);
  uint64_t *const large[] = {&data, &size};
  if (!take_large(room + length, extra, 2, large)) return refuse(reader, entry, "has extra fields that are not sound");
  bool same = crc == m->crc && size == m->size && data == m->length;
  bool none = described && crc == 0 && size == 0 && data == 0;
  if (peri_load_le16(b + 6) != entry->flags ||
      peri_load_le16(b + 8) != (m->deflated ? PERI_ZIP_DEFLATED : PERI_ZIP_STORED) || length != strlen(m->name) ||
      memcmp(room, m->name, length) != 0 || (!same && !none)) {
    return refuse(reader, entry, "has a local header that says otherwise than the central directory");
  }
  if (described) return check_descriptor(reader, entry, next);
  return m->begin + m->size == next ? PERI_OK : refuse(reader, entry, "is not followed by the next");
}

static int compare_entries(const void *left, const void *right) {
  const peri_zip_entry *a = left, *b = right;
  return (a->header > b->header) - (a->header < b->header);
}

static int compare_names(const void *left, const void *right) {
  const peri_zip_entry *a = left, *b = right;
  return strcmp(a->member.name, b->member.name);
}

static peri_status check_unique(peri_reader *reader, peri_zip *zip) {
  if (zip->n > 1) qsort(zip->entries, zip->n, sizeof *zip->entries, compare_names);
  for (size_t i = 1; i < zip->n; i++) {
    if (compare_names(&zip->entries[i - 1], &zip->entries[i]) == 0) {
      return refuse(reader, &zip->entries[i], "is there twice");
    }
  }
  return PERI_OK;
}

static peri_status check_members(peri_reader *reader, const ending *end, peri_zip *zip) {
  const size_t room_size = 2 * 65536; /* a name and extra fields at their largest */
  void *room;
  PERI_TRY(check_unique(reader, zip));
  if (zip->n > 1) qsort(zip->entries, zip->n, sizeof *zip->entries, compare_entries);
  uint64_t first = zip->n > 0 ? zip->entries[0].header : end->offset;
  if (first != 0) return peri_reader_fail(reader, 0, "%llu bytes before the first member", (unsigned long long)first);
  PERI_TRY(peri_alloc(reader->context, room_size, &room));
  peri_status status = PERI_OK;
  for (size_t i = 0; i < zip->n && status == PERI_OK; i++) {
    uint64_t next = i + 1 < zip->n ? zip->entries[i + 1].header : end->offset;
    if (next > end->offset) {
      status = refuse(reader, &zip->entries[i + 1], "lies in the central directory");
    } else {
      status = check_local(reader, &zip->entries[i], next, room);
    }
  }
  peri_free(reader->context, room, room_size);
  return status;
}

/* ---- the archive ---- */

static peri_status read_directory(peri_reader *reader, const ending *end, peri_zip *zip) {
  void *directory;
  PERI_TRY(peri_alloc(reader->context, (size_t)end->size, &directory));
  peri_status status = peri_reader_seek(reader, end->offset);
  if (status == PERI_OK) status = peri_reader_read(reader, directory, end->size, "central directory");
  if (status == PERI_OK) status = take_records(reader, end, directory, zip);
  peri_free(reader->context, directory, (size_t)end->size);
  return status == PERI_OK ? check_members(reader, end, zip) : status;
}

peri_status peri_zip_open(peri_reader *reader, peri_zip *out) {
  ending end = {0};
  void *entries = NULL, *names = NULL;
  *out = (peri_zip){0};
  PERI_TRY(find_directory(reader, &end));
  out->names_size = (size_t)end.size; /* a record is longer than its name */
  peri_status status = peri_alloc_array(reader->context, (size_t)end.n, sizeof *out->entries, &entries);
  if (status == PERI_OK) status = peri_alloc(reader->context, out->names_size, &names);
  out->entries = entries;
  out->names = names;
  out->n = entries != NULL ? (size_t)end.n : 0;
  if (status == PERI_OK) status = read_directory(reader, &end, out);
  if (status != PERI_OK) peri_zip_close(reader->context, out);
  return status;
}

void peri_zip_close(peri_context *context, peri_zip *zip) {
  peri_free(context, zip->entries, zip->n * sizeof *zip->entries);
  if (zip->names != NULL) peri_free(context, zip->names, zip->names_size);
  *zip = (peri_zip){0};
}
