/* Examples of the table of verbs, an array a verb. */
#ifndef SIDESNAP_CMD_VERB_EXAMPLES_H
#define SIDESNAP_CMD_VERB_EXAMPLES_H

#include "verb.h"

extern const struct example drivers_examples[], create_examples[], run_examples[], reset_examples[],
	undo_examples[], replace_examples[], dump_examples[], load_examples[], ls_examples[],
	tree_examples[], log_examples[], tag_examples[], describe_examples[], show_examples[],
	diff_examples[], cat_examples[], cp_examples[], push_examples[], pull_examples[],
	rm_examples[], prune_examples[], completion_examples[], up_examples[], stop_examples[],
	restart_examples[], logs_examples[], shell_examples[], debug_examples[], doctor_examples[],
	bundle_examples[];

#endif
