export { forward as GET, forward as POST, forward as PATCH, forward as DELETE } from "@/lib/server/backend";
