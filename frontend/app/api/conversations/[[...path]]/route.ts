export { forward as GET, forward as POST, forward as DELETE } from "@/lib/server/backend";
