/* What the system lets this process have: memory, and time of its processors. Read from /proc and /sys when asked; 0 where nothing is said. */
#ifndef XR_UTIL_MACHINE_H
#define XR_UTIL_MACHINE_H

typedef struct xr_machine {
    double memory, available;   /* bytes of the machine, and of these what is free or can be freed */
    double memory_limit;        /* bytes that the control group may have, if that is less than the machine's; 0: no limit */
    double cpu_quota;           /* processors' worth of time that the control group may have; 0: no limit */
    int processors;             /* that are on line */
    int allowed;                /* of these, the ones that the process may run on (affinity) */
    int cores;                  /* cores that these are threads of; 0: not said */
} xr_machine;

xr_machine xr_machine_look(void);
/* Only processors and cpu_quota, for the start of every command: to count cores each processor has files that are read. */
xr_machine xr_machine_time(void);
/* The same with the files of another system under `root` ("" is this one), for tests; affinity is this process's all the same. */
xr_machine xr_machine_look_at(const char *root);
int xr_machine_paid(const xr_machine *m);         /* threads that the quota pays for, at least 1; 0: no quota */
double xr_machine_memory(const xr_machine *m);  /* bytes that a process may come to use: of the machine, or of its control group */

#endif
