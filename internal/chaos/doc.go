// Package chaos proves the promises of failover by breaking things: real Redis
// servers, the network in front of them, and the processes that use them.
//
// A Cell is a fault, a workload and a setting. Run plays it: clients work through
// several processes while the fault comes and goes, each noting what it asked and
// what it was told. When all is well again every session is read through every
// process, and check holds the notes against the life that a session has: absent,
// live, removed, and removed is for ever.
//
// A removal binds the process that acknowledged it at once, and all others when
// the fault is over. A write that was answered with an error may have happened
// or not.
package chaos
