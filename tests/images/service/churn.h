#ifndef TEST_SERVICE_CHURN_H
#define TEST_SERVICE_CHURN_H

/* churn(directory, seed): Change what is below the directory at random, for ever; 1 when it cannot. */
int churn(const char *directory, const char *seed);

#endif
