/*
 * Every number of the catalog's format, in one place. FORMAT.md says what they mean.
 * All integers are little-endian.
 */
#ifndef SIDESNAP_TREE_FORMAT_H
#define SIDESNAP_TREE_FORMAT_H

/* A catalog's stream: header, records, end mark. */
#define CATALOG_MAGIC "sscat001"
#define CATALOG_MAGIC_SIZE 8
#define CATALOG_HEADER_SIZE 12 /* magic, u32 catalog flags */
#define CATALOG_PARTIAL 1U     /* catalog flag: parents may be missing (own files, seeds) */
#define CATALOG_END_SIZE 12    /* u32 0, u64 number of records */

/* The list of chunks of a catalog's stream, itself a stream whose chunks are the catalog_root. */
#define CATALOG_LIST_MAGIC "sslst001"
#define CATALOG_LIST_HEADER_SIZE 16 /* magic, u64 size of the catalog's stream */
#define CATALOG_LIST_ENTRY_SIZE 36  /* id, u32 size */

/*
 * The state of a volume: header (magic, u64 device and inode of the root, hash of the tree, three
 * texts: boot id, volume, created), records, end mark as a catalog's, hash of all before it.
 */
#define STATE_MAGIC "ssvst001"
#define STATE_HEADER_SIZE_MAX 1024

/* A record: u32 size of what follows, then the fixed part, then the optional parts. */
#define RECORD_SIZE_MAX (1U << 30)
#define RECORD_FLAGS_OFFSET 0 /* offsets within what follows the size */
#define RECORD_FINGERPRINT_OFFSET 28
#define RECORD_FINGERPRINT_SIZE 28
#define RECORD_PARTS_OFFSET 56
#define RECORD_PATH_OFFSET 57
#define RECORD_SIZE_MIN 60 /* with the path "" */

#define RECORD_PART_LINK 1U
#define RECORD_PART_HARDLINK 2U
#define RECORD_PART_DEVICE 4U
#define RECORD_PART_ATTRIBUTES 8U
#define RECORD_PART_CONTENTS 16U
#define RECORD_PART_PAGES 32U /* only with contents */
#define RECORD_PART_LISTS 64U /* only with contents */
#define RECORD_PARTS_KNOWN 127U

#define RECORD_CONTENT_HOLE 0U	/* u64 length */
#define RECORD_CONTENT_CHUNK 1U /* u32 size, id */
#define RECORD_CONTENT_PART 2U	/* u32 length, u32 offset, u32 size, id */
#define RECORD_CONTENT_HASH 3U	/* u64 length, id */

/* A list of contents, stored beside the catalog's stream. */
#define CONTENT_LIST_MAGIC "sscon001"
#define CONTENT_LIST_HEADER_SIZE 16 /* magic, u32 size of a page, u32 number of runs */
#define CONTENT_RUN_HEADER_SIZE 12  /* u64 where in the file, u32 number of contents */
#define CONTENT_LISTS_MAX 32U	    /* of one record */

#define RECORD_PATH_MAX 4095U
#define RECORD_LINK_MAX 4095U
#define RECORD_ATTRIBUTE_COUNT_MAX 4096U
#define RECORD_ATTRIBUTE_NAME_MAX 255U
#define RECORD_ATTRIBUTE_SIZE_MAX (64U << 10)
#define RECORD_ATTRIBUTES_SIZE_MAX (1U << 20)
#define RECORD_FILE_SIZE_MAX ((UINT64_C(1) << 63) - 1)

#endif
