// Package foreign decodes the sessions that other products have stored. It only
// reads.
//
// Ids and expiries stay what they were. What cannot be read is refused with a
// perdure.ErrInvalid, whose text holds nothing of what the session holds.
package foreign
