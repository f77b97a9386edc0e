/* The feature kernel as a C library, over Arrow's C data interface: libtidemill_kernel.so. docs/kernel.md shows its use.
 *
 * Handles. Every function that can fail returns a status; the sentence about the last failure is asked from the handle that the
 * call was made on. A *_new function gives a handle also when it fails (but for want of memory, or of a place to put it), which
 * serves to read the sentence and is freed like any other. Freeing NULL does nothing. No exception leaves the library.
 *
 * Threads. A program is immutable: any number of threads may make states and joins of it, which keep what they need of it also
 * after it is freed. A state or a join is used by one thread at a time.
 *
 * Arrow data. Inputs are read during the call only; they are not released and stay the caller's. Outputs are the caller's, who
 * calls their `release`. Batches are structs ("+s") whose fields are found by name; others are passed over.
 * Types of the kernel and of Arrow:
 *
 *   boolean    b                     text       u U
 *   integer    c C s S i I l         timestamp  tsu: (microseconds, with or without a zone; values are UTC)
 *   number     f g                   date       tdD
 *   T[]        +l +L of T
 *
 * Outputs are b l g U tsu: tdD +L. Other types, dictionaries among them, are refused by name.
 */
#ifndef TIDEMILL_KERNEL_H
#define TIDEMILL_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Arrow's C data interface, as its specification has it. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
  const char* format;
  const char* name;
  const char* metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema** children;
  struct ArrowSchema* dictionary;
  void (*release)(struct ArrowSchema*);
  void* private_data;
};

struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void** buffers;
  struct ArrowArray** children;
  struct ArrowArray* dictionary;
  void (*release)(struct ArrowArray*);
  void* private_data;
};
#endif /* ARROW_C_DATA_INTERFACE */

#if defined(__GNUC__)
#define TIDEMILL_KERNEL_EXPORT __attribute__((visibility("default")))
#else
#define TIDEMILL_KERNEL_EXPORT
#endif

/* Grows when something in this header changes that programs compiled against it would not stand. */
#define TIDEMILL_KERNEL_ABI 1

typedef enum TidemillStatus {
  TIDEMILL_OK = 0,
  TIDEMILL_BAD_ARGUMENT = 1, /* NULL where something has to be, a handle that failed to be made */
  TIDEMILL_BAD_PROGRAM = 2,  /* not a program, or not one that this version runs */
  TIDEMILL_BAD_DATA = 3,     /* Arrow data of a wrong type, length or content */
  TIDEMILL_BAD_STATE = 4,    /* bytes that are no state of this program */
  TIDEMILL_NO_MEMORY = 5,
  TIDEMILL_INTERNAL = 6      /* a defect */
} TidemillStatus;

typedef struct TidemillProgram TidemillProgram;
typedef struct TidemillState TidemillState;
typedef struct TidemillJoin TidemillJoin;

/* The library's TIDEMILL_KERNEL_ABI: compare before anything else. */
TIDEMILL_KERNEL_EXPORT int32_t tidemill_kernel_abi(void);
/* The version of the kernel's semantics: libraries of equal versions give equal bits. */
TIDEMILL_KERNEL_EXPORT const char* tidemill_kernel_version(void);

/* ---- programs */

/* Reads a program's JSON (UTF-8, `length` bytes). */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_program_new(const char* json, size_t length, TidemillProgram** program);
TIDEMILL_KERNEL_EXPORT void tidemill_program_free(TidemillProgram* program);
/* Why making it failed; "" when it did not. Valid until the handle is freed. */
TIDEMILL_KERNEL_EXPORT const char* tidemill_program_error(const TidemillProgram* program);
/* Of the rows that states and joins take: keys, `_event_time`, `_known_at`, `_seq`, and the columns that the program reads. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_program_row_schema(const TidemillProgram* program, struct ArrowSchema* schema);
/* Of what queries and joins give: the outputs. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_program_output_schema(const TidemillProgram* program, struct ArrowSchema* schema);

/* ---- the state of one entity */

TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_new(const TidemillProgram* program, TidemillState** state);
TIDEMILL_KERNEL_EXPORT void tidemill_state_free(TidemillState* state);
/* About the last call that failed. Valid until the next call with this handle. */
TIDEMILL_KERNEL_EXPORT const char* tidemill_state_error(const TidemillState* state);

/* Adds rows, in any order; a row that is there already counts once. `_event_time` and `_known_at` (timestamps) and `_seq`
 * (integer) have no nulls; without a field `_known_at` each row is known at its event time. Keys are not looked at. Nothing is
 * added when the batch is refused. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_update(TidemillState* state, const struct ArrowSchema* schema,
                                                            const struct ArrowArray* rows);
/* The outputs at each of `times` (a timestamp array without nulls, in any order): a struct with a row for each. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_query(TidemillState* state, const struct ArrowSchema* times_schema,
                                                           const struct ArrowArray* times, struct ArrowSchema* schema,
                                                           struct ArrowArray* outputs);
/* Adds the rows of another state of the same program. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_merge(TidemillState* state, const TidemillState* other);
/* Forgets rows that no query at `time` (microseconds since 1970) or later sees. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_expire(TidemillState* state, int64_t time);
/* The state as versioned bytes, which stay valid until the next call with this handle. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_save(TidemillState* state, const uint8_t** bytes, size_t* length);
/* Replaces the state by saved bytes, also those of older versions. A failure leaves it as it was. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_state_load(TidemillState* state, const uint8_t* bytes, size_t length);
/* Number of rows kept, and memory in use in bytes; 0 for NULL. */
TIDEMILL_KERNEL_EXPORT uint64_t tidemill_state_rows(const TidemillState* state);
TIDEMILL_KERNEL_EXPORT uint64_t tidemill_state_memory(const TidemillState* state);

/* ---- many entities: the point-in-time join of a partition */

TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_join_new(const TidemillProgram* program, TidemillJoin** join);
TIDEMILL_KERNEL_EXPORT void tidemill_join_free(TidemillJoin* join);
/* About the last call that failed. Valid until the next call with this handle. */
TIDEMILL_KERNEL_EXPORT const char* tidemill_join_error(const TidemillJoin* join);
/* The outputs for each row of `spine`, in its order. `rows`: the partition's rows as for tidemill_state_update, with the keys;
 * those of an entity lie one after the other (sorted by key, for instance) and within it in any order; rows with a null in their
 * key belong to nobody. `spine`: the keys and `_time` (timestamp), in any order; a row with a null in them sees no rows. */
TIDEMILL_KERNEL_EXPORT TidemillStatus tidemill_join_run(TidemillJoin* join, const struct ArrowSchema* rows_schema,
                                                        const struct ArrowArray* rows, const struct ArrowSchema* spine_schema,
                                                        const struct ArrowArray* spine, struct ArrowSchema* schema,
                                                        struct ArrowArray* outputs);

#ifdef __cplusplus
}
#endif
#endif /* TIDEMILL_KERNEL_H */
