// Package foreign moves the sessions that other products have stored: Redis is a
// migrate.Source of what a foreign.Layout of perdure's own package foreign
// decodes. It only reads.
//
// What cannot be read is refused with its reason, and the rest goes on.
package foreign
