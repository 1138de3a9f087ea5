// Package foreign reads the sessions that other products have stored, so that
// they can be moved: as a migrate.Source, or one by one. It only reads.
//
// Ids and expiries stay what they were. What cannot be read is refused with its
// reason, and the rest goes on.
package foreign
